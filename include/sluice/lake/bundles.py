"""Copies of a dataset's manifests in one object, so that one call reads many.

The manifests stay the truth. A copy counts only while the listing shows its ETag, so one that is out of date, or gone,
costs a read of its manifest and nothing else. Only manifests of closed partitions are copied: others change soon.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.errors import ConflictingWrite, UnreadableObject
from sluice.lake.manifests import Manifest
from sluice.lake.objects import Stored
from sluice.lake.parsing import parsed
from sluice.lake.partitions import Partition
from sluice.lake.periods import by_period
from sluice.lake.store import Lake

FEW = 8  # manifests, which are read as fast one by one
_LARGEST = 2**15  # characters of a manifest
_LOG = logging.getLogger(__name__)


class Copied(BaseModel):
    """A copy of a manifest.

    Attributes:
        etag: The ETag of the manifest, with its quotes.
        manifest: Its JSON.
    """

    model_config = ConfigDict(frozen=True)

    etag: str
    manifest: str


class Bundle(BaseModel):
    """Copies of the manifests of a year, or of a month of hours.

    Attributes:
        schema_version: The version of this JSON.
        copies: The copies, by partition key.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    copies: Mapping[str, Copied] = Field(default_factory=dict)


def read_copies(
    lake: Lake, dataset: str, etags: Mapping[Partition, str]
) -> Iterator[tuple[Partition, Stored[Manifest]]]:
    """Yield the manifests of which there are copies, as the lake would return them.

    Args:
        lake: The lake.
        dataset: The dataset, such as ``raw/events``.
        etags: The ETags of the manifests to look for, without quotes, as they were listed.
    """
    for period, partitions in by_period(etags).items():
        copies = _read(lake, lake.layout.bundle(dataset, period)) if len(partitions) > FEW else {}
        for partition in partitions:
            found = copies.get(partition.key)
            if found is not None and found.etag.strip('"') == etags[partition]:
                try:
                    uri = lake.uri(lake.layout.manifest(dataset, partition))
                    manifest = parsed(uri, found.manifest.encode(), Manifest)
                except UnreadableObject:  # a newer version may have copied it; who reads the manifest gets the error
                    continue
                yield partition, Stored(manifest, found.etag)


def _read(lake: Lake, key: str) -> Mapping[str, Copied]:
    try:
        bundle = lake.stored(key, Bundle).value
    except UnreadableObject as error:
        _LOG.warning("%s. Until then each manifest is read by itself", error)
        return {}
    return {} if bundle is None else bundle.copies


def copy(lake: Lake, dataset: str, manifests: Mapping[Partition, Stored[Manifest]]) -> None:
    """Copy manifests into their bundles, if they are many.

    Args:
        lake: The lake.
        dataset: The dataset, such as ``raw/events``.
        manifests: The manifests as they were read, or written.
    """
    copies = {partition: each for partition, stored in manifests.items() for each in _copied(stored)}
    for period, partitions in by_period(copies).items():
        if len(partitions) > FEW:
            new = {partition.key: copies[partition] for partition in partitions}
            _add(lake, lake.layout.bundle(dataset, period), new)


def _add(lake: Lake, key: str, new: Mapping[str, Copied]) -> None:
    def with_new(before: Bundle | None) -> Bundle:
        return Bundle(copies={**(before.copies if before else {}), **new})

    try:
        lake.update(key, Bundle, with_new)
    except UnreadableObject:
        lake.put(key, with_new(None).model_dump_json().encode())
    except ConflictingWrite as error:
        _LOG.warning("%s. Until then each manifest is read by itself", error)


def _copied(stored: Stored[Manifest]) -> Iterator[Copied]:
    if stored.value is not None and stored.etag is not None and stored.value.state == "closed":
        json = stored.value.model_dump_json()
        if len(json) <= _LARGEST:
            yield Copied(etag=stored.etag, manifest=json)
