"""The checker: reports what is wrong with a lake and a queue, given what was sent.

It shares no code with what wrote the lake: it lists and reads with boto3, pyarrow and json, and takes the layout of
the lake and the members of a manifest from their documentation.
"""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import pyarrow.parquet as pq

Row = dict[str, Any]
_SHOWN = 10
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True)
class Sent:
    """One event as it was sent: ``order`` is its place within its group; the same event may be sent several times."""

    id: str
    group: str
    order: int
    body: str


@dataclass(frozen=True)
class Stored:
    """An object in the bucket, with the rows that pyarrow reads from it, in their order."""

    key: str
    size: int
    etag: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Found:
    """Everything below one source's raw dataset, its conformed one and its quarantine; the counts of its queues.

    ``raw`` and ``conformed`` are manifests by partition key, ``objects`` the Parquet objects by key.
    """

    raw: Mapping[str, Row]
    conformed: Mapping[str, Row]
    objects: Mapping[str, Stored]
    queued: Mapping[str, int] = field(default_factory=dict)

    def rows(self, manifests: Mapping[str, Row], files: str = "files") -> list[Row]:
        """Return the rows of all recorded objects that exist."""
        return [row for manifest in manifests.values() for row in self.rows_of(manifest, files)]

    def rows_of(self, manifest: Row, files: str = "files") -> list[Row]:
        recorded = [file["key"] for file in manifest[files]]
        rows = [row for key in recorded if key in self.objects for row in self.objects[key].rows]
        return rows + inline_rows(manifest) if files == "files" else rows


def inline_rows(manifest: Row) -> list[Row]:
    """Return the rows that the manifest of an open raw partition holds itself."""
    return [_with_times(json.loads(text)) for text in manifest.get("inline") or ()]


def _with_times(row: Row) -> Row:
    return row | {name: datetime.fromisoformat(row[name]) for name in ("sent_at", "event_time")}


@dataclass(frozen=True)
class Counts:
    """What a lake without a fault holds: rows of recorded raw parts, conformed rows, quarantined records by reason.

    ``unrecorded`` counts the rows of raw parts that no manifest names: a landing that died left them, or one part was
    written again together with the next. All that they hold is in recorded parts.
    """

    raw: int
    conformed: int
    quarantined: Mapping[str, int]
    unrecorded: int


def audit(
    s3: Any, bucket: str, pipeline: str, source: str, sent: Sequence[Sent], sqs: Any = None, queues: Sequence[str] = ()
) -> Counts:
    """Return the counts of a lake without a fault; fail with one line for each fault otherwise."""
    found = read(s3, bucket, pipeline, source, sqs, queues)
    wrong = faults(found, sent)
    assert not wrong, "\n".join([f"{len(wrong)} faults:", *wrong[:_SHOWN]])
    return counts(found)


def counts(found: Found) -> Counts:
    named = {file["key"] for manifest in found.raw.values() for file in manifest["files"]}
    left = [stored for key, stored in found.objects.items() if "/raw/" in key and key not in named]
    return Counts(
        raw=len(found.rows(found.raw)),
        conformed=len(found.rows(found.conformed)),
        quarantined=dict(Counter(row["reason"] for row in found.rows(found.conformed, "quarantined"))),
        unrecorded=sum(len(stored.rows) for stored in left),
    )


def read(s3: Any, bucket: str, pipeline: str, source: str, sqs: Any = None, queues: Sequence[str] = ()) -> Found:
    """Return what the bucket holds of a source and its ``conform`` step, and the counts of the queues."""
    raw, conformed = f"{pipeline}/raw/{source}/", f"{pipeline}/conform/"
    manifests: dict[str, dict[str, Row]] = {raw: {}, conformed: {}}
    objects: dict[str, Stored] = {}
    for prefix in (raw, conformed, f"{pipeline}/quarantine/conform/"):
        for entry in _listed(s3, bucket, prefix):
            key, body = entry["Key"], s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            if key.endswith("/_manifest.json"):
                manifests[prefix][key.removeprefix(prefix).removesuffix("/_manifest.json")] = json.loads(body)
            else:
                rows = pq.read_table(io.BytesIO(body)).to_pylist()
                objects[key] = Stored(key, entry["Size"], entry["ETag"].strip('"'), rows)
    return Found(manifests[raw], manifests[conformed], objects, {queue: _queued(sqs, queue) for queue in queues})


def _listed(s3: Any, bucket: str, prefix: str) -> Iterator[Any]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", ())


def _queued(sqs: Any, queue: str) -> int:
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=list(_COUNTS))["Attributes"]
    return sum(int(attributes[name]) for name in _COUNTS)


def faults(found: Found, sent: Sequence[Sent]) -> list[str]:
    """Return a line for each broken promise; none where all promises are kept."""
    return [
        *_of_the_queue(found),
        *_of_manifests(found),
        *_of_conformed_manifests(found),
        *_of_raw(found, sent),
        *_of_counting(found, sent),
        *_of_order(found, sent),
    ]


def _of_the_queue(found: Found) -> Iterator[str]:
    for queue, held in found.queued.items():
        if held:
            yield f"{queue} holds {held} messages, waiting or in flight"


def _of_manifests(found: Found) -> Iterator[str]:
    """What a manifest records of its objects is true."""
    for manifest in (*found.raw.values(), *found.conformed.values()):
        where = f"{manifest['dataset']}/{manifest['partition']}"
        for file in (*manifest["files"], *manifest["quarantined"]):
            stored = found.objects.get(file["key"])
            if stored is None:
                yield f"{where} records {file['key']}, which is gone"
                continue
            recorded = (file["size"], file["etag"].strip('"'), file["rows"])
            if recorded != (stored.size, stored.etag, len(stored.rows)):
                yield f"{where} records {file['key']} as {recorded}, it is {stored.size, stored.etag, len(stored.rows)}"
        if manifest["rows_out"] != len(found.rows_of(manifest)):
            yield f"{where} counts {manifest['rows_out']} rows, its files hold {len(found.rows_of(manifest))}"
        if inline_rows(manifest) and manifest["state"] == "closed" and manifest["revision"] == 1:
            yield f"{where} is closed, and has records that are in no object, though none came late"
        if len({file["key"] for file in manifest["files"]}) < len(manifest["files"]):
            yield f"{where} records a file twice"


def _of_conformed_manifests(found: Found) -> Iterator[str]:
    """Each raw partition is closed and conformed in its current content; every record that landed is accounted for."""
    for key in found.raw.keys() ^ found.conformed.keys():
        yield f"{key} is raw or conformed, not both"
    for key in sorted(found.raw.keys() & found.conformed.keys()):
        raw, made = found.raw[key], found.conformed[key]
        if (raw["state"], made["state"]) != ("closed", "closed"):
            yield f"{key} is not closed: raw {raw['state']}, conformed {made['state']}"
        if made["rows_in"] != raw["rows_out"]:
            yield f"{key} was conformed from {made['rows_in']} rows, raw has {raw['rows_out']}"
        reasons = Counter(row["reason"] for row in found.rows_of(made, "quarantined"))
        if reasons != Counter(made["rejected"]):
            yield f"{key} counts as rejected {made['rejected']}, quarantined are {dict(reasons)}"
        if made["rows_in"] != made["rows_out"] + made["duplicates"] + reasons.total():
            yield f"{key}: {made['rows_in']} rows in, but {made['rows_out']} + {made['duplicates']} + {reasons.total()}"


def came(row: Row) -> str:
    """Return what came, of a raw record: something may have been taken off its body."""
    return str(row["body"] if row.get("outer") is None else row["outer"])


def missing(found: Found, sent: Sequence[Sent]) -> list[Sent]:
    """Return what is in no recorded raw part: while anything is under way, all of it has to be on the queue."""
    landed = {came(row) for row in found.rows(found.raw)}
    return list({event.body: event for event in sent if event.body not in landed}.values())


def _of_raw(found: Found, sent: Sequence[Sent]) -> Iterator[str]:
    """Recorded raw parts hold every body verbatim, and none that was not sent."""
    for event in missing(found, sent):
        yield f"{event.id} is in no recorded raw part: {event.body[:80]!r}"
    for body in {came(row) for row in found.rows(found.raw)} - {event.body for event in sent}:
        yield f"raw holds what was not sent: {body[:80]!r}"


def _of_counting(found: Found, sent: Sequence[Sent]) -> Iterator[str]:
    """Every content sent is either the one row of its id or in quarantine with a reason."""
    contents: dict[str, set[str]] = defaultdict(set)
    for event in sent:
        contents[event.id].add(event.body)
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in found.rows(found.conformed):
        rows[row["event_id"]].append(row)
    quarantined = found.rows(found.conformed, "quarantined")
    reasons = {row["body"]: row["reason"] for row in quarantined}
    for each in rows.keys() - contents.keys():
        yield f"{each} is conformed, and was not sent"
    for message, times in Counter(row["message_id"] for row in quarantined).items():
        if times > 1:
            yield f"message {message} is quarantined {times} times"
    for event_id, bodies in contents.items():
        yield from _of_event(event_id, bodies, rows[event_id], reasons)


def _of_event(event_id: str, bodies: set[str], rows: Sequence[Row], reasons: Mapping[str, str]) -> Iterator[str]:
    if len(rows) > 1:
        yield f"{event_id} is conformed {len(rows)} times"
    conformed = {body for body in bodies if rows and _agrees(rows[0], body)}
    if rows and len(conformed) != 1:
        yield f"{event_id} is conformed as {rows[0]}, sent was {sorted(bodies)}"
    for body in bodies:
        if body in conformed and body in reasons:
            yield f"{event_id} is both conformed and quarantined ({reasons[body]})"
        if body not in conformed and not reasons.get(body):
            yield f"{event_id} is neither conformed nor quarantined with a reason: {body[:80]!r}"


def _agrees(row: Row, body: str) -> bool:
    """Return whether the row holds each member of the body."""
    try:
        members = json.loads(body)
        return all(name in row and _same(row[name], member) for name, member in members.items())
    except (ValueError, TypeError, AttributeError, RecursionError):
        return False


def _same(value: object, member: Any) -> bool:
    return value == (datetime.fromisoformat(member) if isinstance(value, datetime) else member)


def _of_order(found: Found, sent: Sequence[Sent]) -> Iterator[str]:
    """The rows of a group follow one another as they were sent: in each file, and by sequence number over all."""
    copies: dict[str, list[Sent]] = defaultdict(list)
    for event in sent:
        copies[event.id].append(event)
    for manifest in found.conformed.values():
        yield from _out_of_order(f"{manifest['partition']}, in file order", found.rows_of(manifest), copies)
    rows = sorted(found.rows(found.conformed), key=lambda row: int(row["sequence_number"]))
    yield from _out_of_order("by sequence number", rows, copies)


def _out_of_order(where: str, rows: Iterable[Row], copies: Mapping[str, Sequence[Sent]]) -> Iterator[str]:
    groups: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in rows:
        orders = [event.order for event in _sent_as(row, copies.get(row["event_id"], ()))]
        if orders:
            groups[row["group"]].append((min(orders), row["event_id"]))
        else:
            yield f"{where}: {row['event_id']} was not sent like this in group {row['group']!r}"
    for group, places in groups.items():
        for (order, before), (later, after) in pairwise(places):
            if order >= later:
                yield f"{where}: group {group} has {after} behind {before}, which was sent after it"


def _sent_as(row: Row, copies: Sequence[Sent]) -> list[Sent]:
    in_group = [event for event in copies if event.group == row["group"]]
    return in_group if len(in_group) == 1 else [event for event in in_group if _agrees(row, event.body)]
