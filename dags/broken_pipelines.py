"""Makes no DAG. If pipelines can't be used, Airflow shows the reasons as the import error of this file."""

from __future__ import annotations

from sluice_airflow.declared import refuse_broken_pipelines

refuse_broken_pipelines()
