"""Records of deployments (``deployments/<n>.json``, never rewritten) and of requested changes (``endpoints/…``)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice.errors import ConflictingWrite
from sluice.lake.store import Lake
from sluice.serving.recipe import Recipe

_MOST_RACES = 20


class DeploymentRecord(BaseModel):
    """One deployment that was read back and proven.

    ``config`` is the endpoint configuration, ``job`` the training job, and ``snapshot`` the fingerprint that it was
    trained on. The AUCs are those of the live scores. ``recipe`` creates the configuration again; it is None in old
    records, and if the declaration changed before the proof.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    endpoint: str
    config: str
    job: str
    snapshot: str
    validation_auc: float
    test_auc: float
    recipe: Recipe | None = None


class RequestedChange(BaseModel):
    """The change that was last requested on an endpoint, and the configuration to roll back to.

    ``former`` is that configuration; None if there was no endpoint. ``former_recipe`` creates it again if no deployment
    record does; None if a part of it did not exist any more.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    endpoint: str
    config: str
    former: str | None = None
    former_recipe: Recipe | None = None


def deployment_records(lake: Lake) -> list[DeploymentRecord]:
    """Return every record of the pipeline, oldest first."""
    keys = [key for key, _, _ in lake.objects(lake.layout.deployments())]
    return [DeploymentRecord.model_validate_json(lake.get(key)) for key in sorted(keys)]


def last_proven(lake: Lake, endpoint: str) -> DeploymentRecord | None:
    """Return the newest record of an endpoint.

    Args:
        lake: The lake of the records.
        endpoint: The name of the endpoint.

    Returns:
        None if nothing was proven yet.
    """
    return next((record for record in reversed(deployment_records(lake)) if record.endpoint == endpoint), None)


def record_deployment(lake: Lake, record: DeploymentRecord) -> int:
    """Append a record. If it equals the newest one, nothing is written.

    Args:
        lake: The lake of the records.
        record: The deployment that was proven.

    Returns:
        The number of the record, from 1.

    Raises:
        ConflictingWrite: other deployments took the next number twenty times in a row.
    """
    for _ in range(_MOST_RACES):
        records = deployment_records(lake)
        if records and records[-1] == record:
            return len(records)
        number = len(records) + 1
        if lake.create(lake.layout.deployment(number), record.model_dump_json().encode()):
            return number
    raise ConflictingWrite(
        f"{lake.uri(lake.layout.deployments())} keeps being written by other deployments; clear this task"
    )


def record_request(lake: Lake, requested: RequestedChange) -> None:
    """Record a change before the endpoint is changed.

    Args:
        lake: The lake of the records.
        requested: The change; it replaces what was recorded for its endpoint.

    Raises:
        ConflictingWrite: other deployments keep recording theirs.
    """
    lake.update(lake.layout.endpoint(requested.endpoint), RequestedChange, lambda _: requested)


def requested_change(lake: Lake, endpoint: str) -> RequestedChange | None:
    """Return the change that was last requested on an endpoint.

    Args:
        lake: The lake of the records.
        endpoint: The name of the endpoint.

    Returns:
        None if none was requested yet.
    """
    return lake.stored(lake.layout.endpoint(endpoint), RequestedChange).value


def recorded_recipe(lake: Lake, endpoint: str, config: str) -> Recipe | None:
    """Return the recipe of a configuration that served an endpoint.

    Args:
        lake: The lake of the records.
        endpoint: The name of the endpoint.
        config: The name of the configuration.

    Returns:
        None if no record has it.
    """
    records = [each for each in deployment_records(lake) if each.config == config and each.recipe is not None]
    if records:
        return records[-1].recipe
    requested = requested_change(lake, endpoint)
    return requested.former_recipe if requested is not None and requested.former == config else None
