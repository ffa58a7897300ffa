"""The Airflow pool of drains. It bounds how many drains run in parallel, over all pipelines."""

from __future__ import annotations

INGEST_POOL = "sluice_ingest"
INGEST_SLOTS = 10
