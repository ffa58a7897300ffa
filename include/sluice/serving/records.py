"""The numbered record of what went live: ``deployments/<n>.json``, never rewritten."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice.errors import ConflictingWrite
from sluice.lake import Lake

_MOST_RACES = 20


class DeploymentRecord(BaseModel):
    """One deployment that was read back and probed."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    endpoint: str
    config: str
    job: str
    snapshot: str
    validation_auc: float
    test_auc: float


def deployment_records(lake: Lake) -> list[DeploymentRecord]:
    """Every record of the pipeline, oldest first."""
    keys = [key for key, _, _ in lake.objects(lake.key("deployments", ""))]
    return [DeploymentRecord.model_validate_json(lake.get(key)) for key in sorted(keys)]


def record_deployment(lake: Lake, record: DeploymentRecord) -> int:
    """Append the record and return its number, from 1; what is on top already is not written again.

    Raises:
        ConflictingWrite: other deployments took the next number twenty times in a row.
    """
    for _ in range(_MOST_RACES):
        records = deployment_records(lake)
        if records and records[-1] == record:
            return len(records)
        number = len(records) + 1
        if lake.create(lake.key("deployments", f"{number:06d}.json"), record.model_dump_json().encode()):
            return number
    raise ConflictingWrite(
        f"{lake.uri(lake.key('deployments'))}/ keeps being written by other deployments; clear this task"
    )
