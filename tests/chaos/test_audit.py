"""The checker can fail: it reports each kind of fault that it promises to find."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.chaos.audit import Found, Row, Sent, Stored, faults, read
from tests.chaos.conftest import Flights
from tests.chaos.trial import Trial
from tests.conftest import Cloud

from sluice.declaration.loading import load_pipeline

Change = Callable[[list[Row]], list[Row]]


def read_lake(trial: Trial) -> Found:
    return read(trial.s3, trial.bucket, trial.pipeline.name, trial.source.name, trial.sqs, [trial.queue])


@pytest.fixture(scope="module")
def landed(cloud: Cloud, flights: Flights) -> Trial:
    """Flights of two days and an event that is no JSON, conformed without a fault; each test leaves them unchanged."""
    here = Trial(cloud, "audited", load_pipeline("flights"))
    here.send(flights(60))
    here.put("broken", "no json", "broken-1")
    counts = here.finish()
    assert (counts.conformed, counts.quarantined) == (60, {"not_json": 1})
    return here


def changed(found: Found, dataset: str, change: Change, files: str = "files") -> Found:
    """Return the lake with other rows in one object of a partition, and a manifest that agrees with them."""
    manifests = copy.deepcopy(dict(getattr(found, dataset)))
    manifest = next(each for each in manifests.values() if each[files])
    [file, *_] = manifest[files]
    stored = found.objects[file["key"]]
    rows = change(copy.deepcopy(list(stored.rows)))
    if files == "files":
        manifest["rows_out"] += len(rows) - file["rows"]
    file["rows"] = len(rows)
    return replace(found, objects={**found.objects, stored.key: replace(stored, rows=rows)}, **{dataset: manifests})


def two_of_a_group(rows: list[Row]) -> tuple[int, int]:
    groups = [row["group"] for row in rows]
    first = next(place for place, group in enumerate(groups) if group in groups[place + 1 :])
    return first, groups.index(groups[first], first + 1)


def swapped(rows: list[Row]) -> list[Row]:
    first, second = two_of_a_group(rows)
    rows[first], rows[second] = rows[second], rows[first]
    return rows


def numbered_the_other_way(rows: list[Row]) -> list[Row]:
    """Return rows in order in the file, but not by their sequence numbers."""
    first, second = (rows[place] for place in two_of_a_group(rows))
    first["sequence_number"], second["sequence_number"] = second["sequence_number"], first["sequence_number"]
    return rows


def otherwise(member: str, value: Any) -> Change:
    return lambda rows: [{**rows[0], member: value}, *rows[1:]]


def test_checker_reports_each_fault(landed: Trial) -> None:
    """Of the rows, of the manifests, and of what was sent: each alone, in what was read of one lake."""
    found, sent = read_lake(landed), landed.sent
    assert faults(found, sent) == []

    of_rows: list[tuple[str, str, Change, str]] = [
        ("conformed", "files", lambda rows: rows[1:], "is neither conformed nor quarantined with a reason"),
        ("conformed", "files", lambda rows: [rows[0], *rows], "is conformed 2 times"),
        ("conformed", "files", swapped, "which was sent after it"),
        ("conformed", "files", numbered_the_other_way, "by sequence number: group"),
        ("conformed", "files", otherwise("distance", 1), "is conformed as"),
        ("conformed", "files", otherwise("group", "another"), "was not sent like this in group 'another'"),
        ("conformed", "files", otherwise("event_id", "another"), "another is conformed, and was not sent"),
        ("conformed", "quarantined", lambda _: [], "is neither conformed nor quarantined with a reason"),
        ("conformed", "quarantined", otherwise("reason", ""), "is neither conformed nor quarantined with a reason"),
        ("conformed", "quarantined", lambda rows: rows * 2, "is quarantined 2 times"),
        ("conformed", "quarantined", otherwise("body", sent[0].body), "is both conformed and quarantined"),
        ("raw", "files", lambda rows: rows[1:], "is in no recorded raw part"),
        ("raw", "files", otherwise("body", sent[0].body + " "), "raw holds what was not sent"),
    ]
    for dataset, files, change, message in of_rows:
        reported = faults(changed(found, dataset, change, files), sent)
        assert any(message in fault for fault in reported), (message, reported)

    day = next(iter(found.conformed.keys() & found.raw.keys()))
    of_manifests: list[tuple[str, str, Any]] = [
        *(("raw", member, value) for member, value in {"state": "open", "rows_out": 9, "files": []}.items()),
        *(("raw", member, value) for member, value in {"files": found.raw[day]["files"] * 2}.items()),
        *(("conformed", member, 999) for member in ("rows_in", "rows_out", "duplicates")),
        ("conformed", "state", "open"),
        ("conformed", "rejected", {"not_json": 9}),
    ]
    for dataset, member, value in of_manifests:
        manifests = {**getattr(found, dataset), day: {**getattr(found, dataset)[day], member: value}}
        assert faults(replace(found, **{dataset: manifests}), sent), (dataset, member)
    without = {key: manifest for key, manifest in found.conformed.items() if key != day}
    assert any("is raw or conformed, not both" in fault for fault in faults(replace(found, conformed=without), sent))

    part: Stored = found.objects[found.raw[day]["files"][0]["key"]]
    for other in (replace(part, size=1), replace(part, etag="another")):
        [reported] = faults(replace(found, objects={**found.objects, part.key: other}), sent)
        assert f"records {part.key} as" in reported


def test_checker_reports_events_that_differ_from_those_sent(landed: Trial) -> None:
    found, sent = read_lake(landed), landed.sent
    first = next(event for event in sent if event.order == 1 and any(event.group == other.group for other in sent))
    second = next(event for event in sent if event.group == first.group and event.order == 2)
    others = [event for event in sent if event not in (first, second)]
    assert faults(found, [*others, first, second, first]) == [], "sent twice is no fault"

    reported = faults(found, [*sent, Sent("more", "g", 1, '{"id": "more"}')])
    assert "more is in no recorded raw part" in reported[0]
    assert "raw holds what was not sent" in faults(found, [first, *others])[0]
    reported = faults(found, [replace(first, order=2), replace(second, order=1), *others])
    assert len(reported) == 2, "in the file, and by sequence number"
    assert all("which was sent after it" in fault for fault in reported)


def test_checker_reads_the_bucket_and_the_queue_themselves(landed: Trial) -> None:
    """A part that no manifest records, an object overwritten or deleted, messages that are left on the queue."""
    s3, here = landed.s3, {"Bucket": landed.bucket}
    day, manifest = next((day, manifest) for day, manifest in read_lake(landed).raw.items() if manifest["rows_out"] > 1)
    [file] = manifest["files"]
    rows, key = manifest["rows_out"], f"flights/raw/events/{day}/_manifest.json"

    s3.put_object(**here, Key=key, Body=json.dumps({**manifest, "files": [], "rows_out": 0}).encode())
    lost = [fault for fault in faults(read_lake(landed), landed.sent) if "is in no recorded raw part" in fault]
    assert len(lost) == rows
    s3.put_object(**here, Key=key, Body=json.dumps(manifest).encode())

    body = s3.get_object(**here, Key=file["key"])["Body"].read()
    another = next(
        part for part in read_lake(landed).objects if part.startswith("flights/raw/") and part != file["key"]
    )
    s3.copy_object(**here, Key=file["key"], CopySource={**here, "Key": another})
    assert f"records {file['key']} as" in faults(read_lake(landed), landed.sent)[0]
    s3.delete_object(**here, Key=file["key"])
    assert "which is gone" in faults(read_lake(landed), landed.sent)[0]
    s3.put_object(**here, Key=file["key"], Body=body)
    assert faults(read_lake(landed), landed.sent) == []

    landed.sqs.send_message(QueueUrl=landed.queue, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="x")
    waiting = faults(read_lake(landed), landed.sent)
    [message] = landed.sqs.receive_message(QueueUrl=landed.queue)["Messages"]
    in_flight = faults(read_lake(landed), landed.sent)
    landed.sqs.delete_message(QueueUrl=landed.queue, ReceiptHandle=message["ReceiptHandle"])
    assert waiting == in_flight == [f"{landed.queue} holds 1 messages, waiting or in flight"]
    assert faults(read_lake(landed), landed.sent) == []
