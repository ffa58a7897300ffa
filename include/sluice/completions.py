"""Completion events: one SNS message per finished partition, training or look with findings, once per content.

A partition's event is made from its manifest only. Once it is published, a marker object is written to the lake. After
a crash between the two it is published again under the same deduplication id, and the FIFO topic drops it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field

from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest, digest_of
from sluice.lake.partitions import parse_ranges
from sluice.lake.pending import see_pending, settle
from sluice.lake.readable import readable_manifests
from sluice.lake.store import Lake
from sluice.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_sns.type_defs import PublishBatchRequestEntryTypeDef

_AT_ONCE = 10  # events in a call (Amazon SNS API reference, PublishBatch)


class CompletionEvent(BaseModel):
    """The body of the message, as JSON.

    ``stage`` is a dataset, ``training`` or ``monitoring``. ``subject`` is a partition key, or the name of a training
    job or of an endpoint. ``late`` is true if the partition was announced before and has changed. ``findings`` say what
    exceeds a bound, each with the next action.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    pipeline: str
    stage: str
    subject: str
    revision: int
    late: bool
    manifest_uri: str
    checksum: str
    rows_in: int
    rows_out: int
    rejected: Mapping[str, int] = Field(default_factory=dict)
    run_id: str
    findings: tuple[str, ...] = ()


def announce_partitions(workspace: Workspace, dataset: str, ranges: str, run_id: str) -> int:
    """Publish the event of each closed partition whose content was not announced yet.

    Args:
        workspace: The pipeline's workspace; its topic gets the events.
        dataset: The dataset of the partitions.
        ranges: Partitions as ranges; those that are open, absent or can't be read are left out.
        run_id: The Airflow run that publishes, for the event.

    Returns:
        The number of events that were published.
    """
    manifests, _ = readable_manifests(Look(workspace.lake), dataset, parse_ranges(ranges, workspace.lake.calendar))
    return _announce(workspace, dataset, [each for each in manifests if each.state == "closed"], run_id)


def announce_landed(workspace: Workspace, source: str, run_id: str) -> int:
    """Publish the event of each closed raw partition of a source whose content was not announced yet.

    Args:
        workspace: The pipeline's workspace; its topic gets the events.
        source: The name of the source.
        run_id: The Airflow run that publishes, for the event.

    Returns:
        The number of events that were published.
    """
    lake, dataset = workspace.lake, raw_dataset(source)
    pending, seen = see_pending(lake, source)
    manifests, _ = readable_manifests(Look(lake), dataset, pending.partitions(lake.calendar))
    closed = [each for each in manifests if each.state == "closed"]
    published = _announce(workspace, dataset, closed, run_id)
    settle(lake, source, closed, seen)
    return published


def _announce(workspace: Workspace, dataset: str, closed: Collection[Manifest], run_id: str) -> int:
    lake = workspace.lake
    announced = _announced(lake, dataset, closed)
    waiting = [each for each in closed if not _is_announced(lake, each, announced)]
    _publish(
        workspace, [_partition_event(lake, each, run_id, late=bool(announced[each.partition])) for each in waiting]
    )
    return len(waiting)


def _announced(lake: Lake, dataset: str, manifests: Collection[Manifest]) -> Mapping[str, set[str]]:
    """Return the markers of all contents of each partition that were announced, by partition key."""
    folder = lake.layout.announcements(dataset)
    markers: dict[str, set[str]] = {manifest.partition: set() for manifest in manifests}
    for key, _, _ in lake.between(folder, [manifest.time_partition(lake.calendar) for manifest in manifests]):
        subject = key.removeprefix(folder).rpartition("/")[0]
        if subject in markers:
            markers[subject].add(key)
    return markers


def _is_announced(lake: Lake, manifest: Manifest, announced: Mapping[str, set[str]]) -> bool:
    return _marker(lake, _partition_event(lake, manifest)) in announced[manifest.partition]


def marker_of(lake: Lake, manifest: Manifest) -> str:
    """Return the key of the marker that the present content of a partition has once it is announced.

    Args:
        lake: The lake that has the markers.
        manifest: The manifest of the partition.
    """
    return _marker(lake, _partition_event(lake, manifest))


def announce(workspace: Workspace, event: CompletionEvent) -> bool:
    """Publish the event, unless one of the same content was published before.

    Args:
        workspace: The pipeline's workspace; its topic gets the event.
        event: The event; its ``run_id`` does not count as content.

    Returns:
        Whether this call published it.
    """
    if workspace.lake.read(_marker(workspace.lake, event)) is not None:
        return False
    _publish(workspace, [event])
    return True


def _partition_event(lake: Lake, manifest: Manifest, run_id: str = "", late: bool = False) -> CompletionEvent:
    return CompletionEvent(
        pipeline=lake.pipeline,
        stage=manifest.dataset,
        subject=manifest.partition,
        revision=manifest.revision,
        late=late,
        manifest_uri=lake.uri(lake.layout.manifest(manifest.dataset, manifest.time_partition(lake.calendar))),
        checksum=manifest.digest,
        rows_in=manifest.rows_in,
        rows_out=manifest.rows_out,
        rejected=manifest.rejected,
        run_id=run_id,
    )


def _identity(event: CompletionEvent) -> str:
    return digest_of([event.stage, event.subject, event.revision, event.checksum])


def _marker(lake: Lake, event: CompletionEvent) -> str:
    return lake.layout.announcement(event.stage, event.subject, _identity(event)[:16])


def _publish(workspace: Workspace, events: Sequence[CompletionEvent]) -> None:
    """Publish events in their order, and mark each.

    Raises:
        ClientError: the topic has refused one. Those before it are published and marked.
    """
    sns, lake = workspace.aws.client("sns"), workspace.lake
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for start in range(0, len(events), _AT_ONCE):
            batch = events[start : start + _AT_ONCE]
            entries = [_entry(place, event) for place, event in enumerate(batch)]
            answer = sns.publish_batch(TopicArn=workspace.resources.topic_arn, PublishBatchRequestEntries=entries)
            published = (batch[int(each["Id"])] for each in answer["Successful"])
            list(pool.map(lambda event: lake.create(_marker(lake, event), b""), published))
            for failed in answer["Failed"]:
                raise ClientError(
                    {"Error": {"Code": failed["Code"], "Message": failed.get("Message", "")}}, "PublishBatch"
                )


def _entry(place: int, event: CompletionEvent) -> PublishBatchRequestEntryTypeDef:
    attributes = {"pipeline": event.pipeline, "stage": event.stage, "late": str(event.late).lower()}
    return {
        "Id": str(place),
        "Message": event.model_dump_json(),
        "MessageGroupId": event.stage,
        "MessageDeduplicationId": _identity(event),
        "MessageAttributes": {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
    }
