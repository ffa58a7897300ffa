"""Subscriptions of registered consumers, by SubscribeToShard.

Restores: the subscription of a closed shard ends, after its last record, with an event that names the children and has
no ContinuationSequenceNumber; an event holds a part of what waits, and MillisBehindLatest says how far behind it is; a
sequence number of another stream is refused. In the released emulator the first event holds everything, and the
subscription of a closed shard goes on. Which subscriptions are refused because of another one is the emulator's own.

Source: Amazon Kinesis Data Streams API reference, SubscribeToShard and SubscribeToShardEvent (up to five minutes;
ChildShards at the end of the shard). That the last event has no ContinuationSequenceNumber is what Amazon's Kinesis
Client Library expects. AWS names no size of an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import StreamingResponse, get_account_id, get_region
from ministack.services import kinesis

from localcloud.emulator.shards import Shard, Stream, children, is_open, why_foreign

Request = Mapping[str, Any]
Answer = tuple[int, dict[str, str], Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

_OK = 200
_MOST_RECORDS = 250
_LOOK_SECONDS = 0.2


def install() -> None:
    """Replace what the emulator sends to a subscriber."""
    kinesis._subscribe_to_shard = _ending_with_the_shard(kinesis._subscribe_to_shard)


def _ending_with_the_shard(subscribe: Callable[[Request, bool], Answer]) -> Callable[[Request, bool], Answer]:
    def call(data: Request, is_cbor: bool) -> Answer:
        key = (data.get("ConsumerARN", ""), data.get("ShardId", ""))
        consumer = kinesis._consumer_from_arn(key[0])
        stream = consumer and kinesis._resolve_stream_by_arn(consumer["StreamARN"])
        number = data.get("StartingPosition", {}).get("SequenceNumber")
        if why := stream and why_foreign(number, key[1], stream):
            refusal: Answer = kinesis.error_response_json("InvalidArgumentException", why, 400)
            return refusal
        answer = subscribe(data, is_cbor)  # a request in CBOR was refused before, as it can't be read here
        if answer[0] != _OK:
            return answer
        scope = (get_account_id(), get_region())
        place = _place(stream["shards"][key[1]], data["StartingPosition"])
        subscription = _Subscription(key, scope, stream, kinesis._subscriptions[key], place)
        return answer[0], answer[1], StreamingResponse(subscription.run)

    return call


def _place(shard: Shard, starting: Mapping[str, Any]) -> str:
    """Return the sequence number after which a subscription starts.

    Args:
        shard: The shard.
        starting: The StartingPosition of the request, which the emulator has checked.
    """
    records = shard["records"]
    position = kinesis._start_position(
        records, starting["Type"], starting.get("SequenceNumber", ""), starting.get("Timestamp")
    )
    return records[position - 1]["SequenceNumber"] if position else shard["starting_sequence_number"]


@dataclass
class _Subscription:
    """An open subscription.

    Attributes:
        key: The ARN of the consumer, and the id of the shard.
        scope: The account and the region.
        stream: The emulator's stream.
        entry: The emulator's record of this subscription, while no other one has taken over.
        place: The sequence number up to which the records are sent.
    """

    key: tuple[str, str]
    scope: tuple[str, str]
    stream: Stream
    entry: Mapping[str, Any]
    place: str

    async def run(self, send: Send, receive: Receive) -> None:
        """Send events until the shard or the five minutes end, another subscription takes over, or the client goes."""
        gone = asyncio.create_task(_gone(receive))
        try:
            await _body(send, _message({":message-type": "event", ":event-type": "initial-response"}, {}))
            deadline, sent_at = self.entry["started"] + kinesis.SUBSCRIPTION_SECONDS, 0.0
            while not gone.done() and time.time() < deadline:
                if failed := self._failure():
                    await _body(send, failed)
                    break
                event = self._next()
                if event["Records"] or "ChildShards" in event or time.time() - sent_at >= _idle_seconds():
                    named = {":message-type": "event", ":event-type": "SubscribeToShardEvent"}
                    await _body(send, _message(named, event))
                    sent_at = time.time()
                if "ChildShards" in event:
                    break
                if not event["MillisBehindLatest"]:
                    await asyncio.wait({gone}, timeout=_LOOK_SECONDS)
        finally:
            if kinesis._subscriptions.get(self.key) is self.entry:
                del kinesis._subscriptions[self.key]
            gone.cancel()
            with contextlib.suppress(Exception):
                await _body(send, b"", more=False)

    def _failure(self) -> bytes | None:
        """Return the exception that ends the subscription, if there is a reason."""
        consumer, shard = self.key
        if kinesis._subscriptions.get(self.key) is not self.entry:
            return _exception("ResourceInUseException", f"Another subscription of {shard} has taken over.")
        if kinesis._streams.get_scoped(*self.scope, self.stream["StreamName"]) is not self.stream:
            return _exception("ResourceNotFoundException", f"Stream {self.stream['StreamName']} not found.")
        if kinesis._consumers.get_scoped(*self.scope, consumer) is None:
            return _exception("ResourceNotFoundException", f"Consumer {consumer} not found.")
        return None

    def _next(self) -> dict[str, Any]:
        """Return the next event, and go on to its last record."""
        name = self.key[1]
        shard = self.stream["shards"][name]
        waiting = [record for record in shard["records"] if record["SequenceNumber"] > self.place]
        records: Any = waiting[:_MOST_RECORDS]
        if records:
            self.place = records[-1]["SequenceNumber"]
        event = {
            "Records": list(self._described(records)),
            "ContinuationSequenceNumber": self.place,
            "MillisBehindLatest": _millis_behind(waiting[_MOST_RECORDS:]),
        }
        if not is_open(shard) and len(waiting) <= _MOST_RECORDS:
            del event["ContinuationSequenceNumber"]
            event["ChildShards"] = children(self.stream, name, kinesis._shard_out)
        return event

    def _described(self, records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for record in records:
            data, encryption = kinesis._ensure_base64(record["Data"]), self.stream.get("EncryptionType", "NONE")
            yield {**record, "Data": data, "EncryptionType": encryption}


def _exception(code: str, message: str) -> bytes:
    return _message({":message-type": "exception", ":exception-type": code}, {"message": message})


def _message(headers: Mapping[str, str], payload: Mapping[str, Any]) -> bytes:
    json_headers = {**headers, ":content-type": "application/json"}
    message: bytes = kinesis._eventstream_message(json_headers, json.dumps(payload).encode())
    return message


def _idle_seconds() -> float:
    seconds: float = kinesis._SUBSCRIPTION_IDLE_SECONDS
    return seconds


def _millis_behind(unsent: list[Any]) -> int:
    if not unsent:
        return 0
    return max(1, int((time.time() - unsent[0]["ApproximateArrivalTimestamp"]) * 1000))


async def _gone(receive: Receive) -> None:
    while (await receive()).get("type") != "http.disconnect":
        pass


async def _body(send: Send, content: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": more})
