"""Decides whether a dropped partition is complete, by the rule that its source declares."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sluice.declaration.completeness import ManifestFile, Marker, ObjectCount, RootMarker, Unchanged
from sluice.declaration.drops import Drops
from sluice.errors import SluiceError
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import digest_of
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.sources.drops.listing import Dropped, dropped, folders

# The rule is of the class that names the function.
Decide = Callable[[Lake, Drops, Partition, Any], str | None]


class Listed(BaseModel):
    """One file of a sender's manifest.

    Attributes:
        name: Its name, relative to the folder of the partition.
        size: Its size in bytes; None if the sender does not say.
        sha256: The digest of its content, in hexadecimal digits; None if the sender does not say.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    size: int | None = None
    sha256: str | None = None


class SenderManifest(BaseModel):
    """A manifest that a sender has written: the files of one partition."""

    model_config = ConfigDict(frozen=True)

    files: tuple[Listed, ...]


class Look(BaseModel):
    """What a partition held when it was looked at, and since when that has not changed.

    Attributes:
        digest: The digest of the names, sizes and ETags.
        since: The first look at which they were the same (UTC).
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    since: datetime


def why_incomplete(lake: Lake, source: Drops, partition: Partition) -> str | None:
    """Return why a drop is not complete, as :func:`missing` does; None if it is, or has landed.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.
    """
    reason = missing(lake, source, partition)
    if reason is None or lake.manifest(raw_dataset(source.name), partition) is not None:
        return None
    return reason


def missing(lake: Lake, source: Drops, partition: Partition) -> str | None:
    """Return what a drop still lacks, where ``{partition}`` stands for the partition's key; None if nothing.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.
    """
    module, _, name = source.complete.decided_by.partition(":")
    decide: Decide = getattr(importlib.import_module(module), name)
    return decide(lake, source, partition, source.complete)


def missing_marker(lake: Lake, source: Drops, partition: Partition, rule: Marker) -> str | None:
    """Decide by a marker in the folder of the partition.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.
        rule: The declared rule.
    """
    if any(lake.read(f"{source.prefix}{folder}{rule.name}") is not None for folder in folders(partition)):
        return None
    return f"no {rule.name} under {source.prefix}{{partition}}/"


def missing_root_marker(lake: Lake, source: Drops, partition: Partition, rule: RootMarker) -> str | None:
    """Decide by a marker of the whole dataset.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.
        rule: The declared rule.
    """
    if lake.read(source.prefix + rule.name) is None:
        return f"no {rule.name} under {source.prefix}"
    return None if dropped(lake, source, partition) else f"no files under {source.prefix}{{partition}}/"


def missing_of_manifest(lake: Lake, source: Drops, partition: Partition, rule: ManifestFile) -> str | None:
    """Decide by the sender's manifest: it is there, and the files that it names have their sizes.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.
        rule: The declared rule.
    """
    try:
        listed = _sender_manifest(lake, source, partition, rule)
    except SluiceError as error:  # no other partition, and no other pipeline, waits for it
        return str(error)
    if listed is None:
        return f"no {rule.name} under {source.prefix}{{partition}}/"
    sizes = {_name(each, partition): each.size for each in dropped(lake, source, partition)}
    for file in listed.files:
        if file.name not in sizes:
            return f"no {file.name}, which the sender's manifest names, under {source.prefix}{{partition}}/"
        if file.size is not None and file.size != sizes[file.name]:
            return (
                f"{source.prefix}{{partition}}/{file.name} has {sizes[file.name]} bytes, the sender's manifest says "
                f"{file.size}"
            )
    return None


def missing_of_count(lake: Lake, source: Drops, partition: Partition, rule: ObjectCount) -> str | None:
    """Decide by the number of files.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.
        rule: The declared rule.
    """
    found = len(dropped(lake, source, partition))
    return None if found >= rule.least else f"{found} of {rule.least} files under {source.prefix}{{partition}}/"


def still_changing(lake: Lake, source: Drops, partition: Partition, rule: Unchanged) -> str | None:
    """Decide by how long the files have been the same. The lake keeps what was seen first.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.
        rule: The declared rule.
    """
    files = [(each.path, each.size, each.etag) for each in dropped(lake, source, partition)]
    if not files:
        return f"no files under {source.prefix}{{partition}}/"
    digest, now = digest_of(files), lake.now()

    def look(before: Look | None) -> Look:
        return before if before is not None and before.digest == digest else Look(digest=digest, since=now)

    since = lake.update(lake.layout.look(source.name, partition), Look, look).since
    if now - since >= rule.duration:
        return None
    return f"the files under {source.prefix}{{partition}}/ have changed in the last {rule.duration}"


def listed_files(lake: Lake, source: Drops, partition: Partition) -> list[tuple[Dropped, str | None]]:
    """Return the files of a complete drop, with their digests where the sender's manifest has them.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.

    Raises:
        SluiceError: the sender's manifest can't be parsed.
    """
    files = dropped(lake, source, partition)
    if not isinstance(source.complete, ManifestFile):
        return [(each, None) for each in files]
    manifest = _sender_manifest(lake, source, partition, source.complete)
    digests = {} if manifest is None else {each.name: each.sha256 for each in manifest.files}
    return [(each, digests[name]) for each in files if (name := _name(each, partition)) in digests]


def _sender_manifest(lake: Lake, source: Drops, partition: Partition, rule: ManifestFile) -> SenderManifest | None:
    """Return the manifest that the sender of a drop has written; None if there is none."""
    for folder in folders(partition):
        key = f"{source.prefix}{folder}{rule.name}"
        body = lake.read(key)
        if body is not None:
            try:
                return SenderManifest.model_validate_json(body)
            except ValidationError as error:
                fault = error.errors(include_url=False)[0]
                where = ".".join(map(str, fault["loc"])) or "the manifest"
                raise SluiceError(
                    f"{lake.uri(key)} is no manifest of a drop: {where}: {fault['msg']}; have its sender write "
                    f'{{"files": [{{"name": "a.csv", "size": 123}}]}}'
                ) from error
    return None


def _name(file: Dropped, partition: Partition) -> str:
    """Return the path of a file below the folder of its partition."""
    return next(file.path.removeprefix(folder) for folder in folders(partition) if file.path.startswith(folder))
