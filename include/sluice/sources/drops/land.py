"""Copies a complete drop into the raw dataset, unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import PurePosixPath

from botocore.exceptions import ClientError

from sluice.aws.failures import error_code
from sluice.declaration.sources import Drops
from sluice.errors import ConflictingWrite, MissingResource
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import File, Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake


def is_complete(lake: Lake, source: Drops, partition: Partition) -> bool:
    """Return whether a drop is complete: its folder has the marker, or the drop has already landed.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.
    """
    return _is_marked(lake, source, partition) or lake.manifest(raw_dataset(source.name), partition) is not None


def _is_marked(lake: Lake, source: Drops, partition: Partition) -> bool:
    return lake.read(f"{source.prefix}{partition.key}/{source.complete.name}") is not None


def land_drop(lake: Lake, source: Drops, partition: Partition) -> bool:
    """Copy a complete drop into its raw partition and close the partition.

    The copy does not change if the drop is overwritten later. Landing an overwritten drop makes a new revision. A drop
    that has not changed, or that its sender has removed since, is not copied again.

    Args:
        lake: The lake, whose bucket has the drops.
        source: The declared drops.
        partition: The partition of the drop.

    Returns:
        Whether anything was copied.

    Raises:
        MissingResource: the marker does not exist, and the drop has never landed.
        ConflictingWrite: the drop was overwritten while it was copied.
    """
    dataset = raw_dataset(source.name)
    landed = lake.manifest(dataset, partition)
    if not _is_marked(lake, source, partition):
        if landed is not None:
            return False
        raise MissingResource(
            f"{lake.uri(source.prefix + partition.key)}/ has no {source.complete.name}: the drop is not complete; "
            f"have its sender put the marker last, then clear this task"
        )
    targets = _targets(lake, source, partition)
    if landed is not None and {file.key for file in landed.files} == set(targets):
        return False
    files = tuple(_copy(lake, target, *dropped) for target, dropped in sorted(targets.items()))

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

    lake.update_manifest(dataset, partition, replace)
    return True


def _targets(lake: Lake, source: Drops, partition: Partition) -> Mapping[str, tuple[str, int, str]]:
    """Return the key, the size in bytes and the ETag of each dropped object, by the key of its copy.

    The copy's name is a digest of key and ETag, so new content gets a new name.
    """
    folder = f"{source.prefix}{partition.key}/"
    targets = {}
    for key, size, etag in lake.objects(folder):
        # S3's console represents a folder by a key that ends in a slash.
        if key != folder + source.complete.name and not key.endswith("/"):
            name = f"part-{sha256(f'{key} {etag}'.encode()).hexdigest()[:16]}{PurePosixPath(key).suffix}"
            targets[lake.layout.raw_part(raw_dataset(source.name), partition, name)] = (key, size, etag)
    return targets


def _copy(lake: Lake, target: str, key: str, size: int, etag: str) -> File:
    try:
        copied = lake.s3.copy_object(
            Bucket=lake.bucket,
            Key=target,
            CopySource={"Bucket": lake.bucket, "Key": key},
            CopySourceIfMatch=f'"{etag}"',
        )
    except ClientError as error:
        if error_code(error) not in {"PreconditionFailed", "NoSuchKey"}:
            raise
        raise ConflictingWrite(
            f"{lake.uri(key)} was changed while it was landed; clear this task once its sender is done"
        ) from error
    return File(key=target, size=size, etag=copied["CopyObjectResult"]["ETag"].strip('"'), rows=0)
