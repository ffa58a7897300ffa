"""The envelopes and encodings that a user declares for a source. Like all of a declaration, they are values only.

Each class names the one that takes it off (:class:`sluice.records.envelopes.Opener`), so there is no list of kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from sluice.declaration.checks import check_text


@dataclass(frozen=True)
class Envelope:
    """The base of what a service, or a producer, wraps around events.

    Attributes:
        opener: ``"module:Class"`` of what takes it off. It is imported only when the source is read, because a
            declaration must be cheap to parse.
    """

    opener: ClassVar[str]

    @property
    def buckets(self) -> tuple[str, ...]:
        """The buckets of others from which it is completed. Workers may read them."""
        return ()


@dataclass(frozen=True)
class Sns(Envelope):
    """A notification of an SNS topic without raw message delivery. The event is its ``Message``."""

    opener: ClassVar[str] = "sluice.records.envelopes.sns:SnsOpener"


@dataclass(frozen=True)
class EventBridge(Envelope):
    """An event of an EventBridge bus. The event is its ``detail``."""

    opener: ClassVar[str] = "sluice.records.envelopes.eventbridge:EventBridgeOpener"


@dataclass(frozen=True)
class S3Notification(Envelope):
    """A notification of an S3 bucket. Each of its ``Records`` is an event, with its key URL-decoded."""

    opener: ClassVar[str] = "sluice.records.envelopes.s3_notification:S3NotificationOpener"


@dataclass(frozen=True)
class CloudEvents(Envelope):
    """A CloudEvent in structured JSON. The event is its ``data`` or ``data_base64``."""

    opener: ClassVar[str] = "sluice.records.envelopes.cloudevents:CloudEventsOpener"


@dataclass(frozen=True)
class CloudWatchLogs(Envelope):
    """What a subscription filter of CloudWatch Logs sends, with its gzip. Each ``message`` is an event."""

    opener: ClassVar[str] = "sluice.records.envelopes.cloudwatch_logs:CloudWatchLogsOpener"


@dataclass(frozen=True)
class Gzip(Envelope):
    """Gzip: as bytes, or as base64 where only text is carried, as in SQS."""

    opener: ClassVar[str] = "sluice.records.envelopes.gzipped:GzipOpener"


@dataclass(frozen=True)
class Ndjson(Envelope):
    """Lines of JSON. Each line that is not blank is an event."""

    opener: ClassVar[str] = "sluice.records.envelopes.ndjson:NdjsonOpener"


@dataclass(frozen=True)
class ConcatenatedJson(Envelope):
    """JSON objects one after another, without a separator. Each is an event."""

    opener: ClassVar[str] = "sluice.records.envelopes.concatenated_json:ConcatenatedJsonOpener"


@dataclass(frozen=True)
class SqsExtended(Envelope):
    """A pointer of the SQS or SNS extended client library to a payload in S3. A body without a pointer stays as it is.

    Args:
        bucket: The bucket of the payloads. Workers may read it; a pointer to another bucket is not followed.

    Raises:
        DeclarationError: the bucket is empty.
    """

    opener: ClassVar[str] = "sluice.records.envelopes.sqs_extended:SqsExtendedOpener"

    bucket: str

    @property
    @override
    def buckets(self) -> tuple[str, ...]:
        return (self.bucket,)

    def __post_init__(self) -> None:
        check_text("envelope SqsExtended", "bucket", self.bucket, "my-payloads")


@dataclass(frozen=True)
class Aggregated(Envelope):
    """A Kinesis record in which the Kinesis Producer Library has packed several. Streams recognise it by themselves."""

    opener: ClassVar[str] = "sluice.records.envelopes.aggregated:AggregatedOpener"
