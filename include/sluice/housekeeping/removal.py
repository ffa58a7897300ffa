"""Removes what may go. It may stop anywhere, and the next run goes on: what remains is found again by its name."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.errors import SluiceError
from sluice.evaluation.transforms import stop_scoring
from sluice.housekeeping.contents import contents_of, frozen_digests, split_name
from sluice.housekeeping.existing import folder_of
from sluice.housekeeping.needed import find_needed, live_refs, read_book
from sluice.housekeeping.policy import Keep, Kind, Thing, thing_of, unnamed
from sluice.housekeeping.survey import Leftovers
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.training.jobs import stop_job
from sluice.training.tuning import stop_tuning
from sluice.workspace import Workspace

_MOST_OBJECTS = 1000  # of one request (S3 API reference, DeleteObjects)
_PARTITIONS_AT_ONCE = 8

_log = logging.getLogger(__name__)


def remove(workspace: Workspace, leftovers: Leftovers) -> Mapping[str, int]:
    """Remove what a survey has found, unless it is needed by now. Jobs are stopped.

    What is needed is read again before each kind, what is live before each deletion, and what a partition holds before
    something of it goes: a deployment may have begun, or a part may have been recorded.

    Args:
        workspace: The workspace of the pipeline.
        leftovers: What the survey has found.

    Returns:
        How many were removed of each kind, and the bytes of all.

    Raises:
        SluiceError: S3 has refused to delete an object.
    """
    removed: Counter[str] = Counter(bytes=0)
    for kind in Kind:
        found = [each.thing for each in leftovers.found if each.thing.kind is kind]
        gone = _gone_of_partitions if kind.is_of_partition else _gone
        for each in gone(workspace, leftovers.keep, found) if found else ():
            _log.info("removed %s %s", kind, each.name)
            removed += Counter({str(kind): each.count, "bytes": each.size})
    return {"bytes": 0, **removed}


def _gone(workspace: Workspace, keep: Keep, found: Sequence[Thing]) -> Iterator[Thing]:
    """Remove things of one kind that are still not needed; yield those that this call has removed."""
    book = read_book(workspace.lake)
    needed = find_needed(workspace, book, keep)
    for each in found:
        may_go = each.kind.is_job or each.ref not in needed.refs | live_refs(workspace, book)
        if may_go and _REMOVE[each.kind](workspace, each.name):
            yield each


def _gone_of_partitions(workspace: Workspace, keep: Keep, found: Sequence[Thing]) -> Iterator[Thing]:
    """Delete what partitions hold, of one kind, if still nothing names it; yield what this call has deleted."""
    lake, frozen = workspace.lake, frozen_digests(workspace.lake)

    def delete(thing: Thing) -> Thing | None:
        contents = contents_of(workspace, thing.name, frozen)
        objects = unnamed(contents, keep, lake.now()).get(thing.kind) if contents else None
        if not objects:
            return None
        keys = [each.key for each in objects]
        if thing.kind is Kind.EXPIRED:
            _without_quarantine(lake, thing.name, frozenset(keys))
        _delete_objects(lake, keys)
        return thing_of(thing.name, thing.kind, objects)

    with ThreadPoolExecutor(_PARTITIONS_AT_ONCE) as pool:
        yield from (each for each in pool.map(delete, found) if each is not None)


def _without_quarantine(lake: Lake, name: str, keys: Collection[str]) -> None:
    """Take quarantined objects out of a manifest, so that it never names what is gone. The counts by reason stay."""
    dataset, partition = split_name(name)

    def without(before: Manifest | None) -> Manifest:
        if before is None:
            raise SluiceError(f"the manifest of {lake.uri(f'{lake.pipeline}/{name}')} is gone; restore it")
        left = tuple(file for file in before.quarantined if file.key not in keys)
        return before.model_copy(update={"quarantined": left})

    lake.update_manifest(dataset, Partition.parse(partition, lake.calendar), without)


def _delete_config(workspace: Workspace, name: str) -> bool:
    return _deleted(workspace.aws.client("sagemaker").delete_endpoint_config, EndpointConfigName=name)


def _delete_model(workspace: Workspace, name: str) -> bool:
    return _deleted(workspace.aws.client("sagemaker").delete_model, ModelName=name)


def _deleted(delete: Callable[..., object], **name: str) -> bool:
    """Delete something; return False if another caller has deleted it since it was listed."""
    try:
        delete(**name)
    except ClientError as error:
        if not is_absent(error):
            raise
        return False
    return True


def _delete_artefact(workspace: Workspace, name: str) -> bool:
    return _delete_folder(workspace, Kind.ARTEFACT, name)


def _delete_batches(workspace: Workspace, name: str) -> bool:
    return _delete_folder(workspace, Kind.BATCHES, name)


def _delete_scores(workspace: Workspace, name: str) -> bool:
    return _delete_folder(workspace, Kind.SCORES, name)


def _delete_snapshot(workspace: Workspace, name: str) -> bool:
    """Delete the description first: without it no training takes what remains for a whole snapshot."""
    lake, description = workspace.lake, workspace.lake.layout.snapshot(name)
    _delete_objects(lake, [key for key, _, _ in lake.objects(description)])
    return _delete_folder(workspace, Kind.SNAPSHOT, name)


def _delete_folder(workspace: Workspace, kind: Kind, name: str) -> bool:
    lake = workspace.lake
    _delete_objects(lake, [key for key, _, _ in lake.objects(folder_of(lake, kind, name))])
    return True


def _delete_objects(lake: Lake, keys: Sequence[str]) -> None:
    for start in range(0, len(keys), _MOST_OBJECTS):
        some: Any = [{"Key": key} for key in keys[start : start + _MOST_OBJECTS]]
        answer = lake.s3.delete_objects(Bucket=lake.bucket, Delete={"Objects": some, "Quiet": True})
        for refused in answer.get("Errors", ()):
            raise SluiceError(
                f"S3 did not delete {lake.uri(refused['Key'])} ({refused['Code']}: {refused['Message']}); check the "
                f"policies of the caller and of the bucket, then run this again"
            )


_REMOVE: Mapping[Kind, Callable[[Workspace, str], bool]] = {
    Kind.TUNING_JOB: stop_tuning,
    Kind.TRAINING_JOB: stop_job,
    Kind.TRANSFORM_JOB: stop_scoring,
    Kind.CONFIG: _delete_config,
    Kind.MODEL: _delete_model,
    Kind.ARTEFACT: _delete_artefact,
    Kind.BATCHES: _delete_batches,
    Kind.SCORES: _delete_scores,
    Kind.SNAPSHOT: _delete_snapshot,
}
