"""The part of a pipeline's template for a stream."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from troposphere import GetAtt, Ref
from troposphere.kinesis import Stream as KinesisStream
from troposphere.kinesis import StreamConsumer, StreamEncryption, StreamModeDetails

from sluice.aws.template import Export, Fragment, Statement, arn, logical_id
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Stream

# A name is unique in its stream.
_CONSUMER = "sluice"


def _capacity(source: Stream) -> Mapping[str, Any]:
    if source.shards is None:
        return {"StreamModeDetails": StreamModeDetails(StreamMode="ON_DEMAND")}
    return {"ShardCount": source.shards}


def stream_template(pipeline: Pipeline, source: Stream) -> Fragment:
    """Return the stream, its name, and the workers' rights; with fan-out also the consumer, and its ARN.

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
    consumer = _consumer(name, source) if source.fan_out else Fragment()
    return Fragment(
        resources=(stream, *consumer.resources),
        exports=(
            Export(
                stream_id, f"streams/{source.name}", Ref(stream_id), f"Name of the Kinesis stream of {source.name}."
            ),
            *consumer.exports,
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
            *consumer.statements,
        ),
    )


def _consumer(stream: str, source: Stream) -> Fragment:
    stream_id, consumer_id = logical_id(source.name, "Stream"), logical_id(source.name, "Consumer")
    consumer = StreamConsumer(consumer_id, ConsumerName=_CONSUMER, StreamARN=GetAtt(stream_id, "Arn"))
    return Fragment(
        resources=(consumer,),
        exports=(
            Export(
                consumer_id,
                f"consumers/{source.name}",
                Ref(consumer_id),
                f"ARN of the consumer that reads the Kinesis stream of {source.name}.",
            ),
        ),
        statements=(
            Statement(
                "SubscribeToTheStreams",
                ("kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"),
                # The ARN ends with the time of registration, which another one for the same name changes.
                (arn("kinesis", f"stream/{stream}/consumer/{_CONSUMER}:*"),),
            ),
        ),
    )
