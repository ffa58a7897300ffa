"""The Airflow pool in which sources are drained: it bounds how many drains run side by side, over all pipelines."""

from __future__ import annotations

INGEST_POOL = "sluice_ingest"
INGEST_SLOTS = 10
