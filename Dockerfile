# Three images: `airflow` (the last stage) is every Airflow component and worker; `step` runs steps on Lambda and Fargate,
# without Airflow; `cloud` is the embedded cloud, which is not needed on AWS.

FROM python:3.11.14-slim-bookworm AS base
RUN useradd --uid 50000 --create-home sluice
WORKDIR /opt/sluice
ENV PATH=/opt/sluice/.venv/bin:$PATH \
    PYTHONPATH=/opt/sluice/include \
    PYTHONUNBUFFERED=1 \
    ARROW_DEFAULT_MEMORY_POOL=system \
    MALLOC_ARENA_MAX=2
# The last two: a step gives back the memory that it has used. Volumes are mounted here. They get the owner of these folders.
RUN mkdir -p .sluice/airflow/logs .sluice/cloud .sluice/relay && chown -R sluice .sluice

# A function and a task definition name their entry points themselves; this one is a function's. A cold start can't write
# bytecode, so it is here already.
FROM base AS step
COPY requirements-step.txt .
RUN python -m venv .venv && pip install --no-cache-dir --require-hashes -r requirements-step.txt
COPY include include
RUN python -m compileall -q include
USER sluice
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["sluice.compute.handler.handle"]

FROM base AS cloud
COPY requirements-cloud.txt .
RUN python -m venv .venv && pip install --no-cache-dir --require-hashes -r requirements-cloud.txt
COPY localcloud/src localcloud/src
# What takes the place of the image of steps: it has no containers of its own.
COPY --from=step /opt/sluice/.venv .venv-step
COPY include include
COPY deploy/relay.py deploy/relay.py
ENV PYTHONPATH=/opt/sluice/localcloud/src
USER sluice
CMD ["python", "-m", "localcloud", "run"]

FROM base AS airflow
COPY requirements.txt .
RUN python -m venv .venv && pip install --no-cache-dir --require-hashes -r requirements.txt
COPY include include
COPY plugins plugins
COPY dags dags
COPY deploy/health.py deploy/prepare.py deploy/relay.py deploy/retention.py deploy/
USER sluice
ENV AIRFLOW_HOME=/opt/sluice/.sluice/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/sluice/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/sluice/plugins
CMD ["airflow", "version"]
