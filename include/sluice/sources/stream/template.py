"""The part of a pipeline's template for a stream."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from troposphere import Ref
from troposphere.kinesis import Stream as KinesisStream
from troposphere.kinesis import StreamEncryption, StreamModeDetails

from sluice.aws.template import Export, Fragment, Statement, arn, logical_id
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Stream


def _capacity(source: Stream) -> Mapping[str, Any]:
    if source.shards is None:
        return {"StreamModeDetails": StreamModeDetails(StreamMode="ON_DEMAND")}
    return {"ShardCount": source.shards}


def stream_template(pipeline: Pipeline, source: Stream) -> Fragment:
    """Return the stream, its name, and the workers' rights.

    Args:
        pipeline: The pipeline that declares the stream.
        source: The declared stream.
    """
    name, stream_id = f"{pipeline.name}-{source.name}", logical_id(source.name, "Stream")
    stream = KinesisStream(
        stream_id,
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Delete",
        Name=name,
        **_capacity(source),
        RetentionPeriodHours=source.retention // timedelta(hours=1),
        StreamEncryption=StreamEncryption(EncryptionType="KMS", KeyId=pipeline.kms_key or "alias/aws/kinesis"),
    )
    return Fragment(
        resources=(stream,),
        exports=(
            Export(
                stream_id, f"streams/{source.name}", Ref(stream_id), f"Name of the Kinesis stream of {source.name}."
            ),
        ),
        statements=(
            Statement(
                "LandTheStreams",
                (
                    "kinesis:DescribeStreamSummary",
                    "kinesis:GetRecords",
                    "kinesis:GetShardIterator",
                    "kinesis:ListShards",
                ),
                (arn("kinesis", f"stream/{name}"),),
            ),
            Statement(
                "SendToTheStreams", ("kinesis:PutRecord", "kinesis:PutRecords"), (arn("kinesis", f"stream/{name}"),)
            ),
        ),
    )
