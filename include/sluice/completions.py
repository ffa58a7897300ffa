"""Completion events: one SNS message per finished partition, training or look with findings, once per content.

A partition's event is made from its manifest only. Once it is published, a marker object is written to the lake. After
a crash between the two it is published again under the same deduplication id, and the FIFO topic drops it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.lake.manifests import Manifest, digest_of
from sluice.lake.partitions import parse_ranges
from sluice.lake.store import Lake
from sluice.workspace import Workspace


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
        ranges: Partitions as ranges; those that are open or absent are left out.
        run_id: The Airflow run that publishes, for the event.

    Returns:
        The number of events that were published.
    """
    lake = workspace.lake
    closed = [each for each in lake.manifests(dataset, parse_ranges(ranges)) if each.state == "closed"]
    waiting = unannounced(lake, dataset, closed)
    for manifest in waiting:
        late = any(lake.objects(lake.layout.announcement(dataset, manifest.partition, "")))
        _publish(workspace, _partition_event(lake, manifest, run_id, late))
    return len(waiting)


def unannounced(lake: Lake, dataset: str, manifests: Iterable[Manifest]) -> list[Manifest]:
    """Return the manifests whose content was not announced yet.

    Args:
        lake: The lake that has the markers.
        dataset: The dataset of all the manifests.
        manifests: The manifests to choose from.
    """
    markers = {key for key, _, _ in lake.objects(lake.layout.announcements(dataset))}
    return [manifest for manifest in manifests if _marker(lake, _partition_event(lake, manifest)) not in markers]


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
    _publish(workspace, event)
    return True


def _partition_event(lake: Lake, manifest: Manifest, run_id: str = "", late: bool = False) -> CompletionEvent:
    return CompletionEvent(
        pipeline=lake.pipeline,
        stage=manifest.dataset,
        subject=manifest.partition,
        revision=manifest.revision,
        late=late,
        manifest_uri=lake.uri(lake.layout.manifest(manifest.dataset, manifest.time_partition)),
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


def _publish(workspace: Workspace, event: CompletionEvent) -> None:
    attributes = {"pipeline": event.pipeline, "stage": event.stage, "late": str(event.late).lower()}
    workspace.aws.client("sns").publish(
        TopicArn=workspace.resources.topic_arn,
        Message=event.model_dump_json(),
        MessageGroupId=event.stage,
        MessageDeduplicationId=_identity(event),
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )
    workspace.lake.create(_marker(workspace.lake, event), b"")
