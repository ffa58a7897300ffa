"""Records how a lake is divided into partitions, so that no declaration that was changed mixes two divisions.

The record is written before the first manifest. A lake that is older than the record has hours or days of UTC, and the
keys of its manifests say which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from sluice.errors import DeclarationError
from sluice.lake.grains import Grain, grain_of
from sluice.lake.layout import MANIFEST, PARTS, Folder

if TYPE_CHECKING:
    from sluice.lake.store import Lake


class Division(BaseModel):
    """How a lake is divided.

    Attributes:
        schema_version: The version of this JSON.
        every: The length of a partition.
        zone: The IANA name of the zone at whose midnights partitions start.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    every: Grain
    zone: str


def require_division(lake: Lake) -> None:
    """Require that a lake is divided by its calendar, or not divided yet.

    Raises:
        DeclarationError: it is divided in another way.
    """
    if lake.division is not None:
        _require_equal(lake, lake.division)
        return
    raw = lake.layout.dataset(Folder.RAW)
    keys = (key for key, _, _ in lake.objects(raw, without=PARTS) if key.endswith(f"/{MANIFEST}"))
    for key in keys:
        grain = grain_of(key.removeprefix(raw).partition("/")[2])
        if grain is not None:
            # Another writer may have begun the lake meanwhile. Its record is older than its manifests.
            recorded = lake.stored(lake.layout.division(), Division).value
            _require_equal(lake, recorded or Division(every=grain, zone="UTC"))
            return


def record_division(lake: Lake) -> None:
    """Record how a lake is divided.

    Raises:
        DeclarationError: another writer has recorded another division meanwhile.
    """

    def ours(before: Division | None) -> Division:
        return before or Division(every=lake.calendar.every, zone=lake.calendar.zone)

    _require_equal(lake, lake.update(lake.layout.division(), Division, ours))


def _require_equal(lake: Lake, found: Division) -> None:
    declared = lake.calendar
    if (found.every, found.zone) != (declared.every, declared.zone):
        raise DeclarationError(
            f"pipeline {lake.pipeline} declares every={declared.every!r} and zone={declared.zone!r}, but the lake "
            f"under {lake.uri(lake.pipeline)}/ has partitions of every={found.every!r} and "
            f"zone={found.zone!r}; keep these, or give the pipeline another name, which begins an empty lake"
        )
