"""The Airflow pool of drains. It limits how many drains of all pipelines run in parallel."""

from __future__ import annotations

INGEST_POOL = "sluice_ingest"
INGEST_SLOTS = 10
