"""Completion events: one SNS message per finished partition or training, published once per content.

The event is made from the manifest alone. A marker object beside the data says that it was published; a crash in
between publishes it again under the same deduplication id, which the FIFO topic drops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.lake import Lake
from sluice.manifests import Manifest, digest_of
from sluice.partitions import Partition

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class CompletionEvent(BaseModel):
    """The body of the message, as JSON.

    ``subject`` is a partition key or a fingerprint; ``late`` tells that a partition which was complete has changed.
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


def partition_event(lake: Lake, manifest: Manifest, run_id: str) -> CompletionEvent:
    """The event that says: this partition of this dataset is complete, in this revision."""
    return CompletionEvent(
        pipeline=lake.pipeline,
        stage=manifest.dataset,
        subject=manifest.partition,
        revision=manifest.revision,
        late=manifest.revision > 1,
        manifest_uri=lake.uri(lake.manifest_key(manifest.dataset, manifest.time_partition)),
        checksum=manifest.digest,
        rows_in=manifest.rows_in,
        rows_out=manifest.rows_out,
        rejected=manifest.rejected,
        run_id=run_id,
    )


def announce_partitions(
    sns: SNSClient, topic_arn: str, lake: Lake, dataset: str, partitions: list[Partition], run_id: str
) -> int:
    """Publish the event of each closed partition whose content was not announced yet; returns how many."""
    published = 0
    for partition in partitions:
        manifest = lake.manifest(dataset, partition)
        if manifest is not None and manifest.state == "closed":
            published += announce(sns, topic_arn, lake, partition_event(lake, manifest, run_id))
    return published


def announce(sns: SNSClient, topic_arn: str, lake: Lake, event: CompletionEvent) -> bool:
    """Publish the event unless it was published before; True if this call did."""
    identity = digest_of([event.stage, event.subject, event.revision, event.checksum])
    marker = lake.key("announced", event.stage, event.subject, identity[:16])
    if lake.read(marker) is not None:
        return False
    sns.publish(
        TopicArn=topic_arn,
        Message=event.model_dump_json(),
        MessageGroupId=event.stage,
        MessageDeduplicationId=identity,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value}
            for name, value in {
                "pipeline": event.pipeline,
                "stage": event.stage,
                "late": str(event.late).lower(),
            }.items()
        },
    )
    lake.create(marker, b"")
    return True
