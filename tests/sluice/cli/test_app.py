"""The command line, run as its users run it: what it prints, and the one line when something is wrong."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.conftest import Cloud
from tests.draining import backlog
from tests.sluice.cli.running import ROOT, Run, event, failed, write
from tests.sluice.conftest import Declare
from tests.sluice.housekeeping.past import superseded_snapshot
from tests.sluice.lake_contents import keys_below
from tests.sluice.serving.live import Live
from tests.sluice.toy import MODULES

from sluice.aws import clients as aws
from sluice.aws.resources import Resources, find
from sluice.evaluation.verdict import read_verdict, record_verdict
from sluice.lake.store import Lake
from sluice.redrive.held import DEAD_LETTER


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
def test_file_of_events_is_sent_in_order(
    sluice: Run, sqs: Any, toy_resources: Resources, tmp_path: Path, name: str
) -> None:
    file = write(
        tmp_path / name,
        event(f"{name}-1", body={"value": 1}),
        "",
        event(f"{name}-2", body={"id": "its own", "at": "2013-01-02T00:00:00+00:00"}),
        event(f"{name}-3", body='  {"verbatim": true}'),
    )

    done = sluice("send", file, "--pipeline", "toy")

    assert done.status == 0, done.error
    url = toy_resources.made_for("queues", "events")
    assert done.out == f"3 events sent to {url}\n"
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])["Messages"]
    sqs.purge_queue(QueueUrl=url)
    assert [json.loads(each["Body"]) for each in got] == [
        {"id": f"{name}-1", "at": "2013-01-01T07:00:00+00:00", "value": 1},
        {"id": "its own", "at": "2013-01-02T00:00:00+00:00"},
        {"verbatim": True},
    ]
    assert got[2]["Body"] == '  {"verbatim": true}'
    assert {each["Attributes"]["MessageGroupId"] for each in got} == {"g"}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "7",
        "[" * 100_000,
        json.dumps(event("e", id=None)),
        json.dumps(event("e", id=["e"])),
        json.dumps(event("e", id=1.0)),
        json.dumps(event("e", id=True)),
        json.dumps(event("e", id={"e": 1})),
        json.dumps(event("e", id="")),
        json.dumps(event("e", group=None)),
        json.dumps(event("e", group=[])),
        json.dumps(event("e", group=0.5)),
        json.dumps(event("e", body="")),
        json.dumps(event("e", body="\0")),
        json.dumps(event("e", body="x" * (1024 * 1024 + 1))),
        '{"id": "e", "group": "g", "event_time": "2013-01-01", "body": ' + "[" * 5000 + "]" * 5000 + "}",
        '"text"',
        json.dumps({"group": "g", "event_time": "2013-01-01", "body": {}}),
        json.dumps(event("e", event_time="yesterday")),
        json.dumps(event("e", event_time=5)),
        '{"id": "e", "group": "g", "event_time": "2013-01-01", "body": "\\ud800"}',
        '{"id": "\\ud800", "group": "g", "event_time": "2013-01-01", "body": "b"}',
    ],
)
def test_nothing_is_sent_from_a_file_with_a_line_that_is_no_event(
    sluice: Run, sqs: Any, toy_resources: Resources, tmp_path: Path, line: str
) -> None:
    file = write(tmp_path / "events.jsonl", *[event(f"good-{n}") for n in range(30)], line, event("good-31"))

    message = failed(sluice("send", file, "--pipeline", "toy"))

    assert message.startswith(f"error: {file} line 31 is not an event (")
    assert message.endswith("; nothing was sent: correct it and send again")
    assert len(message) < 500
    assert backlog(sqs, toy_resources.made_for("queues", "events")) == 0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "id is null; it must be text or a whole number"),
        ([1], "id is a list;"),
        ({}, "id is an object;"),
        (1.0, "id is a number; it must be text or a whole number"),
        (False, "id is true or false;"),
        ("", "id is empty"),
    ],
)
def test_invalid_id_is_reported(sluice: Run, tmp_path: Path, value: object, reason: str) -> None:
    file = write(tmp_path / "events.jsonl", event("e", id=value))

    assert f"line 1 is not an event ({reason}" in failed(sluice("send", file, "--pipeline", "toy"))


@pytest.fixture
def empty_queue(sqs: Any, toy_resources: Resources) -> Iterator[str]:
    url = toy_resources.made_for("queues", "events")
    yield url
    sqs.purge_queue(QueueUrl=url)


def test_events_that_the_queue_drops_are_not_reported_as_sent(
    sluice: Run, sqs: Any, empty_queue: str, tmp_path: Path
) -> None:
    """A FIFO queue keeps one of the messages with the same id within five minutes."""
    file = write(tmp_path / "events.jsonl", *[event("same", body={"value": n}) for n in range(5)], event("other"))

    done = sluice("send", file, "--pipeline", "toy")

    assert done.out == (
        f"6 events sent to {empty_queue}; it keeps 2 of them: a FIFO queue drops what repeats an id "
        f"within five minutes\n"
    )
    assert backlog(sqs, empty_queue) == 2


@pytest.mark.parametrize("packed", [False, True])
def test_events_are_sent_from_standard_input(sluice: Run, sqs: Any, empty_queue: str, packed: bool) -> None:
    """Also as Windows writes them: with a byte order mark and carriage returns."""
    lines = "\ufeff" + "".join(json.dumps(event(f"piped-{packed}-{n}")) + "\r\n" for n in range(3))
    given = gzip.compress(lines.encode()) if packed else lines.encode()

    done = sluice("send", "-", "--pipeline", "toy", given=given)

    assert done.out == f"3 events sent to {empty_queue}\n", done.error
    assert backlog(sqs, empty_queue) == 3
    assert "standard input line 1 is not an event" in failed(sluice("send", "-", "--pipeline", "toy", given="{}"))


def test_rows_of_a_csv_are_sent_with_the_other_columns_as_their_body(
    sluice: Run, sqs: Any, empty_queue: str, tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(
        b"\xef\xbb\xbfid,group,event_time,value,note\r\n"
        b'csv-1,g,2013-01-01T07:00:00Z,007,"a, b"\r\n\r\n'
        b"csv-2,g,2013-01-01 08:00:00+00,,\r\n"
    )

    done = sluice("send", str(file), "--pipeline", "toy")

    assert done.out == f"2 events sent to {empty_queue}\n", done.error
    got = sqs.receive_message(QueueUrl=empty_queue, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(each["Body"]) for each in got] == [
        {"id": "csv-1", "at": "2013-01-01T07:00:00Z", "value": "007", "note": "a, b"},
        {"id": "csv-2", "at": "2013-01-01 08:00:00+00", "value": "", "note": ""},
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id,group,event_time,body\ne,g,2013-01-01T07:00:00Z\n", "line 2 is not an event ("),
        (b"id,group,event_time,value\ne,g,yesterday,1\n", "line 2 is not an event (event_time 'yesterday': not_a_time"),
        (b"id,group,event_time,value\n,g,2013-01-01T07:00:00Z,1\n", "line 2 is not an event (id is empty)"),
        (b"id,group,event_time\ne,g,2013-01-01T07:00:00Z\n", "line 2 is not an event (body missing)"),
        (b"key,group\ne,g\n", "can't be read: its header has no id, event_time"),
        (b"", "can't be read: its header has no id, group, event_time"),
        (b'id,group,event_time,body\n"open\n', "can't be read: line 2 is no CSV"),
        (b"id,group,event_time,body\n\xff\n", "can't be read: 'utf-8' codec can't decode"),
        (b"id,group,event_time,body\n" + b"x" * 200_000, "can't be read: line 2 is no CSV (field larger than"),
    ],
)
def test_csv_with_a_line_that_is_no_event_is_refused_by_its_line(
    sluice: Run, tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "events.csv").write_bytes(content)

    assert f"events.csv {reason}" in failed(sluice("send", str(tmp_path / "events.csv"), "--pipeline", "toy"))


def test_send_that_keeps_going_names_each_bad_line_and_sends_the_others(
    sluice: Run, sqs: Any, empty_queue: str, tmp_path: Path
) -> None:
    lines = [event("going-1"), "{", event("going-2"), event("going-3", id=None), event("going-4")]
    file = write(tmp_path / "events.jsonl", *lines)

    done = sluice("send", file, "--pipeline", "toy", "--keep-going")

    refused = [line for line in done.error.splitlines() if line.startswith("refused: ")]
    assert [line.partition(" is not")[0] for line in refused] == [f"refused: {file} line {n}" for n in (2, 4)]
    assert done.error.endswith(f"error: 2 lines of {file} are no events and were not sent; see above\n")
    assert (done.status, done.out) == (1, f"3 events sent to {empty_queue}\n")
    assert backlog(sqs, empty_queue) == 3


def test_send_that_the_queue_ends_reports_how_much_was_sent(
    sluice: Run, sqs: Any, empty_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(params: dict[str, Any], **_: Any) -> None:
        if any(entry["MessageDeduplicationId"] == "cut-11" for entry in params["Entries"]):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch")

    make_client = aws.Aws.make_client

    def hooked(made_by: aws.Aws, service: str) -> Any:
        made = make_client(made_by, service)
        made.meta.events.register("provide-client-params.sqs.SendMessageBatch", refuse)
        return made

    monkeypatch.setattr(aws.Aws, "make_client", hooked)
    file = write(tmp_path / "events.jsonl", *[event(f"cut-{n}") for n in range(20)])

    message = failed(sluice("send", file, "--pipeline", "toy"), status=3)

    assert message.startswith("error: AWS refused SendMessageBatch (AccessDenied: no); check the credentials")
    assert message.endswith("(11 of 20 events were sent before)")
    assert backlog(sqs, empty_queue) == 11


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nothing.jsonl", None),
        ("no_gzip.jsonl.gz", b"plain text"),
        ("cut_short.jsonl.gz", gzip.compress(b"{}\n" * 1000, mtime=0)[:-9]),
        ("latin.jsonl", "{}ü".encode("latin-1")),
    ],
)
def test_file_that_can_not_be_read_is_named(sluice: Run, tmp_path: Path, name: str, content: bytes | None) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)

    message = failed(sluice("send", str(file), "--pipeline", "toy"))

    assert str(file) in message


def test_status_shows_every_part_of_the_pipeline(sluice: Run, live: Live) -> None:
    done = sluice("status", "toy")

    assert done.status == 0, done.error
    for title in ("toy: queues", "toy: datasets", "toy: training jobs", "toy: endpoint"):
        assert title in done.out
    assert "raw/events" in done.out
    assert live.job.name in done.out
    assert "InService" in done.out


def test_status_of_all_shows_each_pipeline_that_can_be_shown(sluice: Run, declare: Declare, live: Live) -> None:
    declare("broken", {"pipeline": "PIPELINE = (\n"})

    done = sluice("status")

    assert done.status == 1
    assert "toy: datasets" in done.out
    assert "broken: pipeline broken can't be loaded: pipelines/broken/pipeline.py line 1: SyntaxError" in done.error
    assert re.search(r"the status of broken.* could not be shown; see above$", done.error)


@pytest.mark.usefixtures("proven")
def test_rows_of_csv_and_of_json_are_scored_by_the_live_model(sluice: Run, live: Live) -> None:
    given = '0.5,0.25\n\n{"total": 0.25, "value": 0.5}\n{"value": 0.5, "total": null}\n{"value": 1}\n 1 ,\n'

    done = sluice("predict", "toy", given=given)

    assert done.status == 0, done.error
    scores = [float(line) for line in done.out.splitlines()]
    expected = live.predictions(["0.5,0.25", "0.5,0.25", "0.5,", "1,", "1,"])
    assert scores == [pytest.approx(score, abs=1e-6) for score in expected]


@pytest.mark.usefixtures("proven")
def test_rows_below_a_header_are_in_its_order(sluice: Run, live: Live) -> None:
    done = sluice("predict", "toy", given="\ufefftotal, value\r\n0.25,0.5\r\n,1\r\n")

    assert [float(line) for line in done.out.splitlines()] == [
        pytest.approx(score, abs=1e-6) for score in live.predictions(["0.5,0.25", "1,"])
    ]
    assert sluice("predict", "toy", given="value\n1\n").out.splitlines() == done.out.splitlines()[1:]


def test_features_are_listed_in_their_order_with_their_kinds(sluice: Run) -> None:
    assert sluice("features", "toy").out == "value\tnumber\ntotal\tnumber\n"


def test_model_that_was_not_proven_is_not_asked(sluice: Run) -> None:
    assert failed(sluice("predict", "toy", endpoint="toy-unproven", given="1,2\n")) == (
        "error: no model was proven to be live at endpoint toy-unproven; run toy_train first"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("1\n", "line 1 has 1 columns, expected 2: value, total"),
        ("1,2\n1,2,3\n", "line 2 has 3 columns, expected 2: value, total"),
        ("1;2\n", "line 1 has 1 columns, expected 2: value, total"),
        ("1,2\n1,high\n", "line 2 column 2 (total) is 'high'; expected a number, or nothing where it is missing"),
        ("a,b\n1,2\n", "line 1 column 1 (value) is 'a'; expected a number, or nothing where it is missing"),
        ("value,totl\n1,2\n", "line 1 column 2: 'totl' in the header is no feature of the model"),
        ("value,value\n1,2\n", "line 1 column 2: the header names value twice"),
        ("total,value\n1,x\n", "line 2 column 2 (value) is 'x'"),
        ("1,1e999\n", "line 1 column 2 (total) is '1e999'; expected a number of at most 3.403e+38"),
        ("1,1e39\n", "line 1 column 2 (total) is '1e39'; expected a number of at most 3.403e+38"),
        ("inf,1\n", "line 1 column 1 (value) is 'inf'; expected a number of at most"),
        (f"1,{'3' * 200_000}\n", "line 1 is no CSV (field larger than field limit"),
        ("[1,2]\n", "line 1 column 1 (value) is '[1'"),
        ('{"valu": 1}\n', "line 1 has features that the model does not know: 'valu'"),
        ('{"value": "1,2"}\n', "line 1 feature value is '1,2'; expected a number, or null where it is missing"),
        ('{"value": [1]}\n', "line 1 feature value is [1]"),
        ('{"value": \n', "line 1 is no JSON object"),
        ('{"value": ' + "[" * 100_000 + "\n", "line 1 is no JSON object"),
        ('{"value": 1' + "0" * 400 + "}\n", "line 1 feature value is a whole number of more than 40 digits; expected"),
        ('{"value": ' + "1" * 5000 + "}\n", "line 1 is no JSON object (Exceeds the limit"),
        ('{"value": Infinity}\n', "line 1 feature value is inf; expected a number of at most"),
        (b"1,\xff\n", "line 1 is not UTF-8 ("),
    ],
    ids=lambda each: each[:20] if len(each) > 20 else each,
)
@pytest.mark.usefixtures("proven")
def test_row_that_the_model_can_not_score_is_named(sluice: Run, given: str | bytes, message: str) -> None:
    done = sluice("predict", "toy", given=given)

    line = failed(done)
    assert line.startswith(f"error: {message}")
    assert line.endswith("; `sluice features toy` lists the columns")
    assert "credentials" not in line
    assert len(line) < 400
    assert done.out == ""


@pytest.mark.usefixtures("proven")
@pytest.mark.parametrize("given", ["", "\n \n", "value,total\n"])
def test_input_without_a_row_is_reported(sluice: Run, given: str) -> None:
    assert failed(sluice("predict", "toy", given=given)) == (
        "error: standard input has no row; give CSV or JSON lines of the columns that `sluice features toy` lists"
    )


DeadLetter = Callable[[str], None]


def test_leftovers_are_shown_and_deleted_only_on_request(sluice: Run, cloud: Cloud, toy_resources: Resources) -> None:
    lake = Lake(cloud.client("s3"), toy_resources.bucket, "toy")
    with superseded_snapshot(lake) as (old, newest):

        def remaining() -> set[str]:
            return {key.split("/")[2] for key in keys_below(lake, "toy/snapshots/")} & {old, newest}

        young, shown = sluice("clean", "toy"), sluice("clean", "toy", "--days", "0")

        assert (young.status, shown.status) == (0, 0), young.error + shown.error
        assert old not in young.out
        row = next(line for line in shown.out.splitlines() if old in line)
        assert [cell.strip() for cell in row.split("│")[1:-1]] == [
            "snapshot",
            old,
            "0",
            "1",
            "17 bytes",
            "nothing that is kept names it",
        ]
        assert shown.out.splitlines()[-1] == "nothing was deleted; --delete deletes what is shown, and stops the jobs"
        assert remaining() == {old, newest}

        done = sluice("clean", "toy", "--days", "0", "--delete")

        assert re.fullmatch(r"\d snapshot, .+ removed", done.out.splitlines()[-1])
        assert remaining() == {newest}
    assert failed(sluice("clean", "toy", "--keep", "-1")) == (
        "error: keep=-1, days=30 and quarantine_days=None must be 0 or more"
    )


@pytest.fixture
def dead_letter(sqs: Any, toy_resources: Resources) -> Iterator[DeadLetter]:
    """Makes an event of that id a dead letter."""
    urls = toy_resources.made_for("queues", "events"), toy_resources.made_for("dead-letter-queues", "events")

    def make(name: str) -> None:
        body = json.dumps({"id": name, "at": "2013-01-01T07:00:00+00:00"})
        sqs.send_message(
            QueueUrl=urls[1], MessageBody=body, MessageGroupId="g", MessageDeduplicationId=name[:4].strip("[]")
        )

    yield make
    for url in urls:
        sqs.purge_queue(QueueUrl=url)


def test_held_events_are_shown_and_sent_only_on_request(
    sluice: Run, sqs: Any, toy_resources: Resources, dead_letter: DeadLetter
) -> None:
    def waiting() -> int:
        return backlog(sqs, toy_resources.made_for("queues", "events"))

    dead_letter("one")
    dead_letter("two")

    shown = sluice("redrive", "toy")

    assert shown.status == 0, shown.error
    row = next(line for line in shown.out.splitlines() if "dead_letters" in line)
    assert [cell.strip() for cell in row.split("│")[1:5]] == ["events", "dead_letters", DEAD_LETTER, "2"]
    assert "--send" in shown.out
    assert waiting() == 0

    sent = [sluice("redrive", "toy", "--where", "dead_letters", "--source", "events", "--send") for _ in range(2)]

    assert [done.status for done in sent] == [0, 0]
    counts = [
        next(line for line in done.out.splitlines() if "dead_letters" in line).split("│")[3].strip() for done in sent
    ]
    assert counts == ["2", "0"]
    assert waiting() == 2


def test_event_id_is_shown_verbatim_and_never_interpreted(sluice: Run, dead_letter: DeadLetter) -> None:
    dead_letter("[red]\x1b[2J")

    shown = sluice("redrive", "toy")

    assert "[red]\\x1b[2J" in shown.out
    assert "\x1b[2J" not in shown.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--where", "nowhere"), "'nowhere' is not a place; write quarantine, dead_letters or both"),
        (("--source", "weather"), "pipeline toy has no source of events 'weather'; it has events"),
        (("--reason", "not_json"), "select quarantined events only; set where to quarantine"),
        (("--where", "quarantine", "--from", "soon"), "'soon' is not a date"),
        (("--limit", "0", "--send"), "a limit of 0 sends nothing"),
    ],
)
def test_invalid_redrive_is_refused_in_one_line(sluice: Run, arguments: tuple[str, ...], message: str) -> None:
    assert message in failed(sluice("redrive", "toy", *arguments))


@pytest.mark.usefixtures("proven")
def test_problem_of_the_environment_is_one_line(sluice: Run) -> None:
    assert "there is no pipeline 'nothing'; known: " in failed(sluice("status", "nothing"))
    assert "InvokeEndpoint" in failed(sluice("predict", "toy", endpoint="toy-nowhere", given="1,2\n"), status=3)
    queues = failed(sluice("send", "x", "--pipeline", "toy", "--source", "weather"))
    assert queues == "error: pipeline toy has these sources of events: events; name one with --source"


def test_closed_port_is_one_line_with_the_next_action(sluice: Run, one_attempt: None) -> None:
    message = failed(sluice("status", "toy", AWS_ENDPOINT_URL="http://127.0.0.1:9"), status=3)

    assert "http://127.0.0.1:9" in message
    assert "make up" in message


REHEARSED = """
from dataclasses import replace
from tests.sluice.toy import EVENTS, STREAM, toy
PIPELINE = toy(name="rehearsal", sources={sources}, training=None, deployment=None)
"""


def test_dry_run_prints_a_template_with_the_change_below_it(sluice: Run, declare: Declare, cloud: Cloud) -> None:
    declare("rehearsal", {**MODULES, "pipeline": REHEARSED.format(sources="(EVENTS, STREAM)")})

    first = sluice("provision", "rehearsal", "--dry-run")
    made = sluice("provision", "rehearsal")
    unchanged = sluice("provision", "rehearsal", "--dry-run")
    declare("rehearsal", {**MODULES, "pipeline": REHEARSED.format(sources="(replace(EVENTS, max_receives=3),)")})
    changed = sluice("provision", "rehearsal", "--dry-run")

    assert (first.status, made.status, unchanged.status, changed.status) == (0, 0, 0, 0), first.error + made.error
    assert "# Add EventsQueue (AWS::SQS::Queue)" in first.out.splitlines()
    resources = set(re.findall(r"^  (\w+):$", first.out.partition("\nResources:\n")[2], re.MULTILINE))
    assert resources == {line.split()[2] for line in first.out.splitlines() if line.startswith("# Add ")}
    assert "Stream\trehearsal-stream" in made.out.splitlines()
    assert unchanged.out.splitlines()[-1] == "# the stack is up to date: nothing would change"
    assert [line for line in changed.out.splitlines() if line.startswith("# ")] == [
        "# Modify EventsQueue (AWS::SQS::Queue)",
        "# Remove Stream (AWS::Kinesis::Stream)",
        "# Remove StreamParameter (AWS::SSM::Parameter)",
        "# Modify WorkerPolicy (AWS::IAM::ManagedPolicy)",
    ]
    assert "rehearsal-stream" in cloud.client("kinesis").list_streams()["StreamNames"]


def test_pipeline_without_a_model_or_an_endpoint_is_reported_in_one_line(
    sluice: Run, declare: Declare, cloud: Cloud
) -> None:
    lake = "from tests.sluice.toy import toy\nPIPELINE = toy(name='lakeside', training=None, deployment=None)\n"
    declare("lakeside", {**MODULES, "pipeline": lake})
    assert sluice("provision", "lakeside").status == 0

    shown = sluice("status", "lakeside")

    assert shown.status == 0, shown.error
    assert shown.out.splitlines()[-1] == "lakeside ends at its lake: it declares no training"
    assert "training jobs" not in shown.out
    assert "endpoint" not in shown.out
    for command in ("predict", "features"):
        assert failed(sluice(command, "lakeside", given="1,2\n")) == (
            "error: pipeline lakeside ends at its lake: it trains no model; add a training to its declaration for one"
        )

    declare("lakeside", {**MODULES, "pipeline": lake.replace("training=None, ", "")})
    assert sluice("provision", "lakeside").status == 0
    shown = sluice("status", "lakeside")
    assert "lakeside: training jobs" in shown.out
    assert shown.out.splitlines()[-1] == "lakeside ends at its trained model: it declares no deployment"
    assert sluice("features", "lakeside").out == "value\tnumber\ntotal\tnumber\n"
    assert failed(sluice("predict", "lakeside", given="1,2\n")) == (
        "error: pipeline lakeside has no endpoint: it declares no deployment; add one to its declaration"
    )
    assert failed(sluice("deployments", "lakeside")).startswith("error: pipeline lakeside has no endpoint")


def test_model_without_an_endpoint_is_shown_deployed_and_undone(
    sluice: Run, declare: Declare, cloud: Cloud, live: Live
) -> None:
    declaration = (
        "from tests.sluice.toy import toy\n"
        "from sluice.declaration import Scoring\n"
        "PIPELINE = toy(name='batched', deployment=None, scoring=Scoring(keep=('value',)))\n"
    )
    declare("batched", {**MODULES, "pipeline": declaration})
    assert sluice("provision", "batched").status == 0
    lake = Lake(cloud.client("s3"), find(cloud, "batched").bucket, "batched")
    assert failed(sluice("deploy", "batched")) == "error: no model of batched was judged yet; run batched_train"
    verdict = read_verdict(live.workspace.lake, live.verdict)
    for winner in (live.other, live.model):
        record_verdict(lake, verdict.model_copy(update={"winner": winner.job}))
        assert sluice("deploy", "batched").status == 0

    undone = sluice("rollback", "batched")

    assert undone.out == f"deployment 3: the model of {live.other.job} scores running in batch\n"
    listed, shown = sluice("deployments", "batched").out, sluice("status", "batched", COLUMNS="300").out
    assert [line.split("│")[3].strip() for line in listed.splitlines() if "│ -" in line] == [
        live.other.job,
        live.model.job,
        live.other.job,
    ]
    (row,) = [line for line in shown.splitlines() if line.startswith("│ scores") and live.other.job in line]
    assert [cell.strip() for cell in row.split("│")[1:5]] == ["scores", "-", "-", live.other.job]


def test_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for command in ("provision", "send", "status", "redrive", "predict", "features", "clean"):
        assert command in done.stdout
