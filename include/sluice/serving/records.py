"""Records of what was made live: deployments that were read back and proven, and models that score in batch.

They are numbered, and never rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice.errors import MissingResource
from sluice.lake.journal import append, entries, newest_first
from sluice.lake.store import Lake
from sluice.serving.cost import Cost
from sluice.serving.recipe import Recipe
from sluice.training.models import Model


class DeploymentRecord(BaseModel):
    """One deployment that was read back and proven, or one model that scores in batch since.

    ``recipe`` creates the endpoint configuration again. It and ``endpoint`` are None of a model that only scores in
    batch. ``verdict`` is the number of the verdict by which the model was chosen, and ``metrics`` are those of that
    verdict's test rows. ``cost`` is None in records that were written before costs were. ``scales`` is whether Sluice
    has made the number of instances follow the requests.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[2] = 2
    endpoint: str | None
    model: Model
    verdict: int
    metrics: Mapping[str, float | None]
    recipe: Recipe | None
    cost: Cost | None = None
    scales: bool = False

    @property
    def config(self) -> str:
        """The name of what was made live: the endpoint configuration, or the model where there is no endpoint."""
        return self.model.job if self.recipe is None else self.recipe.config_name


def deployment_records(lake: Lake) -> dict[int, DeploymentRecord]:
    """Return the pipeline's records by their numbers, oldest first."""
    return entries(lake, lake.layout.deployments(), DeploymentRecord)


def newest_deployments(lake: Lake) -> Iterator[tuple[int, DeploymentRecord]]:
    """Yield the pipeline's records with their numbers, the newest first, and read no more of them than are taken."""
    return newest_first(lake, lake.layout.deployments(), DeploymentRecord)


def deployment_record(lake: Lake, number: int) -> DeploymentRecord:
    """Return a record by its number, from 1.

    Args:
        lake: The lake of the records.
        number: The number.

    Raises:
        MissingResource: there is none.
    """
    found = deployment_records(lake)
    if number not in found:
        raise MissingResource(
            f"{lake.uri(lake.layout.deployments())} has no deployment {number}; it has "
            f"{', '.join(map(str, found)) or 'none'}"
        )
    return found[number]


def last_proven(lake: Lake, endpoint: str | None) -> DeploymentRecord | None:
    """Return the newest record of an endpoint.

    Args:
        lake: The lake of the records.
        endpoint: The name of the endpoint; None: the newest record of a model that only scores in batch.

    Returns:
        None if nothing was proven yet.
    """
    return next((record for _, record in newest_deployments(lake) if record.endpoint == endpoint), None)


def require_proven(lake: Lake, endpoint: str) -> DeploymentRecord:
    """Return the newest record of an endpoint.

    Args:
        lake: The lake of the records.
        endpoint: The name of the endpoint.

    Raises:
        MissingResource: nothing was proven yet.
    """
    found = last_proven(lake, endpoint)
    if found is None:
        raise MissingResource(f"no model was proven to be live at endpoint {endpoint}; run {lake.pipeline}_train first")
    return found


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
    return append(lake, lake.layout.deployments(), record)
