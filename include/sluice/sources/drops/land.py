"""Copies complete drops into the raw dataset, unchanged, once each of their files can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import PurePosixPath

from sluice.declaration.drops import Drops
from sluice.errors import SluiceError, UnreadableObject
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import File, Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.sources.drops.completeness import Rule, rule_of
from sluice.sources.drops.copying import copy
from sluice.sources.drops.listing import Dropped, list_drops
from sluice.sources.drops.reading import RefusedDrop, format_of, read_drop

_MOST_CHECKED = 256 * 1024 * 1024  # bytes; a larger file is read by the first step only


def land_drops(lake: Lake, source: Drops, partitions: Collection[Partition]) -> int:
    """Copy complete drops into their raw partitions, check that they can be read, and close the partitions.

    A drop that is not complete is left out. A copy does not change if the drop is overwritten later. Landing an
    overwritten drop makes a new revision. A drop that has not changed, or that its sender has removed since, is not
    copied again.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partitions: The partitions of the drops.

    Returns:
        How many partitions have changed.

    Raises:
        ConflictingWrite: a drop was overwritten after it was listed. The other partitions have landed.
        RefusedDrop: a file can't be read as declared, or there is none and there must be one. The other partitions have
            landed.
    """
    listing, look = list_drops(lake, source, partitions), Look(lake)
    look.read_manifests((raw_dataset(source.name), each) for each in partitions)
    with ThreadPoolExecutor(8) as pool:  # all land before the first failure is raised
        results = [pool.submit(_land, look, rule_of(listing, each)) for each in partitions]
    look.copy_manifests()  # each step reads them
    return sum(each.result() for each in results)


def _land(look: Look, rule: Rule) -> bool:
    """Land a drop if it is complete and has changed; return whether it was copied."""
    lake, source, partition, dataset = rule.lake, rule.source, rule.partition, raw_dataset(rule.source.name)
    try:
        before = look.manifest(dataset, partition)
    except UnreadableObject:
        return False  # nothing lands over it; the step that reads it fails with the error
    if rule.missing() is not None:
        return False
    targets = _targets(rule)
    if _has_landed(targets, before):
        return False
    files = tuple(_landed(lake, source, target, *targets[target]) for target in sorted(targets))

    def replace(before: Manifest | None) -> Manifest:
        if before is not None and before.files == files:
            return before  # another run landed the same content at the same time
        return Manifest(
            dataset=dataset,
            partition=partition.key,
            state="closed",
            revision=1 if before is None else before.revision + 1,
            files=files,
            written_at=lake.now(),
        )

    look.update_manifest(dataset, partition, replace)
    return True


def is_unlanded(rule: Rule, landed: Manifest | None) -> bool:
    """Return whether a drop would land, or land again, if it is complete. Nothing is written.

    Args:
        rule: The rule of its partition, which has objects.
        landed: The manifest of its raw partition; None if it has never landed.
    """
    if landed is None:
        return True
    copies = {PurePosixPath(file.key).name.partition(".")[0] for file in landed.files}
    if {_stem(file) for file in rule.dropped} == copies:
        return False
    try:
        return {_stem(file) for file, _ in rule.files()} != copies
    except SluiceError:  # what its sender says of the files is wrong, so it is not complete
        return False


def _has_landed(targets: Iterable[str], manifest: Manifest | None) -> bool:
    return manifest is not None and {file.key for file in manifest.files} == set(targets)


def _targets(rule: Rule) -> Mapping[str, tuple[Dropped, str | None]]:
    """Return each file of the drop, and its digest if its sender gives one, by the key of its copy.

    The copy's name is a digest of key and ETag, so new content gets a new name.
    """
    lake, source, partition, files = rule.lake, rule.source, rule.partition, rule.files()
    if not files and not source.may_be_empty:
        raise RefusedDrop(
            f"{lake.uri(source.prefix + partition.key)}/ is complete and has no files, which source {source.name} does "
            f"not allow; have its sender write them, then clear this task"
        )
    targets = {}
    for file, digest in files:
        _, suffix = format_of(source, lake.uri(file.key))
        targets[lake.layout.raw_part(raw_dataset(source.name), partition, _stem(file) + suffix)] = (file, digest)
    return targets


def _stem(file: Dropped) -> str:
    """Return the name of a file's copy, without the suffix."""
    return f"part-{sha256(f'{file.key} {file.etag}'.encode()).hexdigest()[:16]}"


def _landed(lake: Lake, source: Drops, target: str, file: Dropped, digest: str | None) -> File:
    """Copy a file, and check the copy: what its sender writes meanwhile does not matter."""
    etag = copy(lake, file, target)
    if digest is not None or file.size <= _MOST_CHECKED:
        body = lake.get(target)
        if digest is not None and sha256(body).hexdigest() != digest.lower():
            raise RefusedDrop(
                f"{lake.uri(file.key)} has another SHA-256 than its sender's manifest says; have its sender write both "
                f"again, then clear this task"
            )
        read_drop(source, lake.uri(file.key), body)
    return File(key=target, size=file.size, etag=etag, rows=0, origin=file.key)
