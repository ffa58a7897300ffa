# Two images: `airflow` (the last stage) is every Airflow component and worker; `cloud` is the embedded cloud,
# which is not needed on AWS.

FROM python:3.11.14-slim-bookworm AS base
RUN useradd --uid 50000 --create-home sluice
WORKDIR /opt/sluice
ENV PATH=/opt/sluice/.venv/bin:$PATH \
    PYTHONPATH=/opt/sluice/include \
    PYTHONUNBUFFERED=1
# Volumes are mounted here. They get the owner of these folders.
RUN mkdir -p .sluice/airflow/logs .sluice/cloud && chown -R sluice .sluice

FROM base AS cloud
COPY requirements-cloud.txt .
RUN python -m venv .venv && pip install --no-cache-dir --require-hashes -r requirements-cloud.txt
COPY localcloud/src localcloud/src
ENV PYTHONPATH=/opt/sluice/localcloud/src
USER sluice
CMD ["python", "-m", "localcloud", "run"]

FROM base AS airflow
COPY requirements.txt .
RUN python -m venv .venv && pip install --no-cache-dir --require-hashes -r requirements.txt
COPY include include
COPY plugins plugins
COPY dags dags
COPY deploy/prepare.py deploy/prepare.py
USER sluice
ENV AIRFLOW_HOME=/opt/sluice/.sluice/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/sluice/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/sluice/plugins
CMD ["airflow", "version"]
