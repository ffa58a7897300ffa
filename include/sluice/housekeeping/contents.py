"""What the partitions of the datasets hold, read partition by partition: memory does not grow with the lake.

A manifest commits by naming objects. What it does not name was replaced since, or was never recorded because its writer
died. S3 lists keys in order, so the listings of a dataset, of its quarantine and of its markers are read side by side.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from itertools import groupby, islice

from pydantic import BaseModel, ValidationError

from sluice.completions import marker_of
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step
from sluice.errors import SluiceError
from sluice.housekeeping.policy import Contents, Kind, Object
from sluice.lake.layout import Folder, quarantine_dataset, raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest, digest_of_content
from sluice.lake.partitions import Partition, of_path
from sluice.lake.store import Lake
from sluice.steps.ids.index import index_of
from sluice.workspace import Workspace

_READERS = 16
_AT_ONCE = 256  # partitions
_PARTITION = re.compile(r"/(?=[a-z]+=)")  # before the key of a partition
# Only what has the form that the lake gives it may go.
_FORMS: Mapping[Kind, re.Pattern[str]] = {
    Kind.REVISION: re.compile(r"rev=[0-9a-f]+/part-0\.parquet"),
    Kind.STATE: re.compile(r"state=[0-9a-f]+/part-0\.parquet"),
    Kind.REJECTED: re.compile(r"rev=[0-9a-f]+/part-0\.parquet"),
    Kind.PART: re.compile(r"part-[^/]+"),
    Kind.MARKER: re.compile(r"[0-9a-f]{16}"),
    Kind.IDS: re.compile(r"(keys|repeats)-[^/]+"),
}


class _Frozen(BaseModel):
    """What a snapshot of any version says of the partitions that it was made of."""

    revisions: Mapping[str, str]


def frozen_digests(lake: Lake) -> frozenset[str]:
    """Return the digests of the partitions that the existing snapshots name.

    Args:
        lake: The lake of the pipeline.

    Raises:
        SluiceError: a snapshot can't be read, so nothing that it may name may go.
    """
    folder = lake.layout.snapshots()
    digests: set[str] = set()
    for key, _, _ in lake.objects(folder):
        if key == lake.layout.snapshot(key.removeprefix(folder).partition("/")[0]):
            try:
                digests.update(_Frozen.model_validate_json(lake.get(key)).revisions.values())
            except ValidationError as error:
                raise SluiceError(
                    f"{lake.uri(key)} does not say which partitions it was made of, so nothing of the datasets may "
                    f"go; restore it from an earlier version, or delete it"
                ) from error
    return frozenset(digests)


def all_contents(workspace: Workspace) -> Iterator[Contents]:
    """Yield what each partition of each declared dataset holds. Each manifest is read once.

    Args:
        workspace: The pipeline.

    Raises:
        SluiceError: a snapshot can't be read.
    """
    frozen = frozen_digests(workspace.lake)
    for dataset in _datasets(workspace.pipeline):
        yield from _contents(workspace, dataset, frozen)


def contents_of(workspace: Workspace, name: str, frozen: frozenset[str]) -> Contents | None:
    """Return what one partition of a dataset holds now; None if it holds nothing.

    Args:
        workspace: The pipeline.
        name: The dataset and the key of the partition.
        frozen: The digests of the partitions that snapshots name.
    """
    dataset, key = split_name(name)
    return next(_contents(workspace, dataset, frozen, f"{key}/"), None)


def split_name(name: str) -> tuple[str, str]:
    """Return the dataset and the key of the partition of a name of :class:`Contents`."""
    *dataset, key = _PARTITION.split(name, 1)
    return dataset[0], key


def _datasets(pipeline: Pipeline) -> list[str]:
    return [
        *(raw_dataset(source.name) for source in pipeline.sources),
        *(step.name for step in pipeline.steps),
        *([pipeline.scoring.name] if pipeline.scoring else []),
    ]


def _contents(workspace: Workspace, dataset: str, frozen: frozenset[str], below: str = "") -> Iterator[Contents]:
    """Yield what the partitions of a dataset hold; only those whose keys are ``below`` a prefix."""
    lake, layout, calendar = workspace.lake, workspace.lake.layout, workspace.pipeline.calendar
    folders: dict[str, Sequence[Kind]] = {layout.announcements(dataset): [Kind.MARKER]}
    if dataset.startswith(f"{Folder.RAW}/"):
        folders[layout.dataset(dataset)] = [Kind.PART]
    else:
        folders[layout.dataset(dataset)] = [Kind.REVISION, Kind.STATE]
        folders[layout.dataset(quarantine_dataset(dataset))] = [Kind.REJECTED]
        folders[layout.ids(dataset)] = [Kind.IDS]
    steps = {step.name: step for step in workspace.pipeline.steps}

    def listed(folder: str, kinds: Sequence[Kind]) -> Iterator[tuple[Partition, Object]]:
        pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.bucket, Prefix=folder + below)
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            path = entry["Key"].removeprefix(folder)
            partition = of_path(path, calendar)
            name = "" if partition is None else path.removeprefix(f"{partition.key}/")
            kind = next((each for each in kinds if _FORMS[each].fullmatch(name)), None)
            if partition is not None and kind is not None:
                yield partition, Object(kind, entry["Key"], entry["LastModified"].astimezone(UTC), entry["Size"])

    def with_manifest(found: tuple[Partition, tuple[Object, ...]]) -> Contents:
        partition, objects = found
        manifest = lake.manifest(dataset, partition)
        return Contents(
            name=f"{dataset}/{partition.key}",
            committed=None if manifest is None else manifest.written_at,
            objects=objects,
            named=frozenset()
            if manifest is None
            else _named(lake, manifest, objects, frozen) | _ids_in_use(lake, steps.get(dataset), partition, objects),
        )

    in_order = heapq.merge(*(listed(*each) for each in folders.items()), key=lambda each: each[0])
    grouped = (
        (partition, tuple(each for _, each in group)) for partition, group in groupby(in_order, lambda each: each[0])
    )
    with ThreadPoolExecutor(_READERS) as pool:
        while some := list(islice(grouped, _AT_ONCE)):
            yield from pool.map(with_manifest, some)


def _named(lake: Lake, manifest: Manifest, objects: tuple[Object, ...], frozen: frozenset[str]) -> frozenset[str]:
    def in_a_snapshot(each: Object) -> bool:
        return digest_of_content(manifest.dataset, manifest.partition, [each.key]) in frozen

    return frozenset(
        {
            *(file.key for file in (*manifest.files, *manifest.quarantined)),
            *([manifest.carried.key] if manifest.carried is not None else []),
            *(each.key for each in objects if each.kind is Kind.REVISION and in_a_snapshot(each)),
            marker_of(lake, manifest),
        }
    )


def _ids_in_use(
    lake: Lake, step: Conform | Step | None, partition: Partition, objects: tuple[Object, ...]
) -> frozenset[str]:
    """Return the objects of a partition's ids that count. One alone is its key file, so that nothing has to be read."""
    ids = [each.key for each in objects if each.kind is Kind.IDS]
    index = None if step is None else index_of(Look(lake), step)
    if index is None:
        return frozenset()
    if len(ids) > 1:
        index.read([partition])
        return index.in_use(partition)
    return frozenset(ids)
