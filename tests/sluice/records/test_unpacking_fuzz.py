"""Ten thousand messages of any content, in any envelopes: nothing is lost, nothing crashes, each fault has a reason."""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
import string
import tracemalloc
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel
from tests.docs.pages import ROOT
from tests.draining import unpacker_of
from tests.sluice.lake_contents import read_parts
from tests.sluice.records import wrapped

from sluice.contracts.reading import Contract
from sluice.declaration import (
    CloudEvents,
    CloudWatchLogs,
    ConcatenatedJson,
    EventBridge,
    Gzip,
    Ndjson,
    S3Notification,
    Sns,
    SqsExtended,
    Stream,
)
from sluice.records.record import Record, content_of, part_bytes
from sluice.records.unpacking import Delivery
from sluice.steps.conform import conform

MESSAGES = 10_000
SENT = datetime(2021, 5, 4, 12, tzinfo=UTC)
ENVELOPES = (
    CloudEvents(),
    CloudWatchLogs(),
    ConcatenatedJson(),
    EventBridge(),
    Gzip(),
    Ndjson(),
    S3Notification(),
    Sns(),
    SqsExtended("payloads"),
)
MEMORY = 100 * 1024 * 1024  # a bomb of 128 MiB would need more


class Reading(BaseModel):
    id: str
    at: datetime
    value: int


def event(dice: random.Random) -> str:
    """Return a body, which is mostly an event."""
    at = dice.choice(
        ("2021-05-04T10:00:00Z", "2021-05-04 10:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", 7, None)
    )
    members = {"id": dice.choice(("a", "b", None, 7, "")), "at": at, "value": dice.choice((1, "x", 10**30, 1.5))}
    for name in dice.sample(sorted(members), dice.randint(0, 1)):
        del members[name]
    return json.dumps(members)


def junk(dice: random.Random) -> str:
    return "".join(dice.choices(string.printable + '{}[]"\\é\u2028\ufeff\U0001f600', k=dice.randint(0, 60)))


def several(dice: random.Random, content: Callable[[random.Random], str]) -> list[str]:
    return [content(dice) for _ in range(dice.randint(0, 4))]


# Each makes a text or bytes of one text.
WRAPS: tuple[Callable[[str, random.Random], str | bytes], ...] = (
    lambda text, _: wrapped.sns(text),
    lambda text, _: wrapped.eventbridge(text),
    lambda text, _: wrapped.cloudevent(data=text),
    lambda text, _: wrapped.cloudevent(data_base64=base64.b64encode(text.encode()).decode()),
    lambda text, dice: wrapped.s3_notification(*several(dice, junk)),
    lambda text, dice: wrapped.cloudwatch_logs(text, *several(dice, event)),
    lambda text, _: wrapped.cloudwatch_logs(text, kind="CONTROL_MESSAGE"),
    lambda text, _: gzip.compress(text.encode()),
    lambda text, _: wrapped.gzip_as_text(text),
    lambda text, dice: "\n".join([text, *several(dice, event)]),
    lambda text, dice: "".join([text, *several(dice, event)]),
    lambda text, _: wrapped.aggregated(("k", text.encode()), ("l", b"\xff")),
    lambda text, _: '{"Event": "s3:TestEvent"}',
    lambda text, _: wrapped.pointer("elsewhere", text),
    lambda text, _: "[" * 10_000,
    lambda text, _: '{"a":' * 10_000,
    lambda text, _: "9" * 5_000,
    lambda text, _: text + "\ud7ff",
)


def content(dice: random.Random) -> str | bytes:
    """Return what a source may deliver: an event or junk, wrapped some times, and now and then cut or spoiled."""
    made: str | bytes = dice.choice((event, event, event, junk))(dice)
    for _ in range(dice.choice((0, 1, 1, 2, 3))):
        text = made if isinstance(made, str) else made.decode("latin-1")
        made = dice.choice(WRAPS)(text, dice)
    if dice.random() < 0.2:
        made = made[: dice.randint(0, len(made))]
    if dice.random() < 0.1 and isinstance(made, bytes) and made:
        spoiled = bytearray(made)
        spoiled[dice.randrange(len(made))] ^= 1 << dice.randrange(8)
        made = bytes(spoiled)
    return made


def delivered(number: int, dice: random.Random) -> tuple[str | bytes, list[Record]]:
    came = content(dice)
    unwrap = tuple(dice.choices(ENVELOPES, k=dice.choice((0, 1, 1, 2, 3))))
    source = Stream("s", event_id="id", event_time="at", unwrap=unwrap)
    return came, unpacker_of(source).records(Delivery(came, f"m{number}", "g", f"{number:09d}", SENT))


def is_in_the_table(reason: str) -> bool:
    """Return whether the reference page has a reason: one of landing itself, one of the contract by its form."""
    page = (ROOT / "docs" / "reference" / "reasons.md").read_text()
    of_contract = re.fullmatch(r"(id|at|value|body): [a-z_ ]+", reason)
    return f"| `{reason}` |" in page or of_contract is not None


def test_nothing_is_lost_nothing_crashes_and_each_fault_has_a_reason() -> None:
    dice = random.Random(20210504)
    records = list[Record]()
    for number in range(MESSAGES):
        came, made = delivered(number, dice)
        kept = content_of(made[0])
        assert kept == came if isinstance(kept, type(came)) else _bytes(kept) == _bytes(came)
        assert [each.message_id.partition(":")[0] for each in made] == [f"m{number}"] * len(made)
        records += made

    stored = read_parts([part_bytes(records)[1]])
    result = conform(stored, Contract(Reading))

    assert sorted(Record(**row) for row in stored.to_pylist()) == sorted(records)
    counted = result.rows.num_rows + result.duplicates + sum(result.rejected.values()) + result.control
    assert counted == len(records) > MESSAGES
    assert result.rows.num_rows > 0
    assert result.control > 0
    assert [reason for reason in result.rejected if not is_in_the_table(reason)] == []
    kinds = Counter(reason.partition(":")[0] for reason in result.rejected)
    assert kinds.keys() >= {"envelope", "gzip", "payload", "event_time", "not_json"}
    assert all(row["event_time"] <= SENT + timedelta(days=1) for row in stored.to_pylist())


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def test_bombs_need_bounded_memory() -> None:
    packed = gzip.compress(bytes(128 * 1024 * 1024), 9)
    twice = gzip.compress(packed, 9)
    lines = b"\n".join([base64.b64encode(packed)] * 5)
    concatenated = b'{"a":' * 60_000 + b'"\\"' * 60_000
    bombs: list[tuple[bytes, tuple[Any, ...]]] = [
        (packed, (Gzip(),)),
        (packed, (CloudWatchLogs(),)),
        (twice, (Gzip(), Gzip())),
        (lines, (Ndjson(), Gzip())),
        (b"{}" * 60_000, (ConcatenatedJson(),)),
        (b"1\n" * 60_000, (Ndjson(),)),
        (concatenated, (ConcatenatedJson(),)),
    ]
    tracemalloc.start()
    try:
        for came, unwrap in bombs:
            source = Stream("s", event_id="id", event_time="at", unwrap=unwrap)
            first, *_ = unpacker_of(source).records(Delivery(came, "m", "g", "1", SENT))
            assert first.fault is not None
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
