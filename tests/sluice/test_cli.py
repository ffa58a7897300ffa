"""The command line, run as its users run it: what it prints, and the one line when something is wrong."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from tests.conftest import Cloud
from tests.sluice.conftest import Declare
from tests.sluice.serving.live import Live

from sluice import aws
from sluice.cli import main
from sluice.landing.queue import backlog
from sluice.redrive.held import DEAD_LETTER
from sluice.resources import Resources

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = """
from tests.sluice.toy import toy
from sluice.pipeline import Deployment
PIPELINE = toy(deployment=Deployment({endpoint!r}))
"""


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    status: int
    out: str
    error: str


Run = Callable[..., Done]


@pytest.fixture
def sluice(
    cloud: Cloud,
    toy_resources: Resources,
    declare: Declare,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs ``sluice`` with arguments, in this cloud, as its entry point does."""

    def run(*arguments: str, endpoint: str = "toy-live", given: str = "", **environment: str) -> Done:
        declare("toy", {"pipeline": PIPELINE.format(endpoint=endpoint)})
        for name, value in {"COLUMNS": "200", **cloud.environment, **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["sluice", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run


def failed(done: Done) -> str:
    """The one line on standard error."""
    assert done.status == 1, done
    (line,) = done.error.splitlines()
    return line


def event(name: str, **members: Any) -> dict[str, Any]:
    defaults = {"id": name, "group": "g", "event_time": "2013-01-01T07:00:00+00:00", "body": {"value": 1}}
    return {**defaults, **members}


def write(path: Path, *events: Any) -> str:
    lines = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in events) + "\n"
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt") as file:
        file.write(lines)
    return str(path)


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
def test_a_file_of_events_is_sent_in_order(
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
    url = toy_resources.queue("events")
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
        '"text"',
        json.dumps({"group": "g", "event_time": "2013-01-01", "body": {}}),
        json.dumps(event("e", event_time="yesterday")),
        json.dumps(event("e", event_time=5)),
        '{"id": "e", "group": "g", "event_time": "2013-01-01", "body": "\\ud800"}',
        '{"id": "\\ud800", "group": "g", "event_time": "2013-01-01", "body": "b"}',
    ],
)
def test_a_line_that_is_no_event_is_named(sluice: Run, tmp_path: Path, line: str) -> None:
    file = write(tmp_path / "events.jsonl", line)

    message = failed(sluice("send", file, "--pipeline", "toy"))

    assert message.startswith(f"error: {file} line 1 is no event (")
    assert message.endswith("the lines before it were sent, sending all again is safe")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nothing.jsonl", None),
        ("no_gzip.jsonl.gz", b"plain text"),
        ("cut_short.jsonl.gz", gzip.compress(b"{}\n" * 1000, mtime=0)[:-9]),
        ("latin.jsonl", "{}ü".encode("latin-1")),
    ],
)
def test_a_file_that_can_not_be_read_is_named(sluice: Run, tmp_path: Path, name: str, content: bytes | None) -> None:
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


def test_rows_of_csv_and_of_json_are_scored_by_the_live_model(sluice: Run, live: Live) -> None:
    given = '0.5,0.25\n\n{"total": 0.25, "value": 0.5}\n{"value": 0.5, "total": null}\n{"value": 1}\n 1 ,\n'

    done = sluice("predict", "toy", given=given)

    assert done.status == 0, done.error
    scores = [float(line) for line in done.out.splitlines()]
    expected = live.predictions(["0.5,0.25", "0.5,0.25", "0.5,", "1,", "1,"])
    assert scores == [pytest.approx(score, abs=1e-6) for score in expected]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("1\n", "error: line 1 has 1 fields, the model has 2 features"),
        ("1,2\n1,2,3\n", "error: line 2 has 3 fields"),
        ('{"valu": 1}\n', "error: line 1 has features that the model does not know: valu"),
        ('{"value": "1,2"}\n', "error: line 1: value is '1,2'; a feature is a number"),
        ('{"value": [1]}\n', "error: line 1: value is [1]"),
        ('{"value": \n', "error: line 1 is no JSON object"),
    ],
)
def test_a_row_that_the_model_can_not_take_is_named(sluice: Run, live: Live, given: str, message: str) -> None:
    done = sluice("predict", "toy", given=given)

    assert failed(done).startswith(message)
    assert done.out == ""


DeadLetter = Callable[[str], None]


@pytest.fixture
def dead_letter(sqs: Any, toy_resources: Resources) -> Iterator[DeadLetter]:
    """Makes an event of that id a dead letter."""
    urls = toy_resources.queues["events"], toy_resources.dead_letter_queues["events"]

    def make(name: str) -> None:
        body = json.dumps({"id": name, "at": "2013-01-01T07:00:00+00:00"})
        sqs.send_message(
            QueueUrl=urls[1], MessageBody=body, MessageGroupId="g", MessageDeduplicationId=name[:4].strip("[]")
        )

    yield make
    for url in urls:
        sqs.purge_queue(QueueUrl=url)


def test_what_is_held_back_is_shown_and_sent_on_request_only(
    sluice: Run, sqs: Any, toy_resources: Resources, dead_letter: DeadLetter
) -> None:
    def home() -> int:
        return backlog(sqs, toy_resources.queue("events"))

    dead_letter("one")
    dead_letter("two")

    shown = sluice("redrive", "toy")

    assert shown.status == 0, shown.error
    row = next(line for line in shown.out.splitlines() if "dead_letters" in line)
    assert [cell.strip() for cell in row.split("│")[1:5]] == ["events", "dead_letters", DEAD_LETTER, "2"]
    assert "--send" in shown.out
    assert home() == 0

    sent = [sluice("redrive", "toy", "--where", "dead_letters", "--source", "events", "--send") for _ in range(2)]

    assert [done.status for done in sent] == [0, 0]
    counts = [
        next(line for line in done.out.splitlines() if "dead_letters" in line).split("│")[3].strip() for done in sent
    ]
    assert counts == ["2", "0"]
    assert home() == 2


def test_an_event_id_is_shown_as_it_is_and_obeyed_by_nobody(sluice: Run, dead_letter: DeadLetter) -> None:
    dead_letter("[red]\x1b[2J")

    shown = sluice("redrive", "toy")

    assert "[red]\\x1b[2J" in shown.out
    assert "\x1b[2J" not in shown.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--where", "nowhere"), "'nowhere' is no place; write quarantine, dead_letters or both"),
        (("--source", "weather"), "pipeline toy has no queue or stream 'weather'; it has events"),
        (("--reason", "not_json"), "choose among quarantined events; say where: quarantine"),
        (("--where", "quarantine", "--from", "soon"), "'soon' is no date"),
        (("--limit", "0", "--send"), "a limit of 0 sends nothing"),
    ],
)
def test_a_redrive_that_makes_no_sense_is_one_line(sluice: Run, arguments: tuple[str, ...], message: str) -> None:
    assert message in failed(sluice("redrive", "toy", *arguments))


def test_what_is_wrong_with_the_surroundings_is_one_line(sluice: Run) -> None:
    assert "there is no pipeline 'nothing'; known: " in failed(sluice("status", "nothing"))
    assert "InvokeEndpoint" in failed(sluice("predict", "toy", endpoint="toy-nowhere", given="1,2\n"))
    queues = failed(sluice("send", "x", "--pipeline", "toy", "--source", "weather"))
    assert queues == "error: pipeline toy has the queues events: name one with --source"


def test_a_closed_port_is_one_line_with_the_next_action(sluice: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "_CONFIG", aws._CONFIG.merge(Config(retries={"total_max_attempts": 1})))

    message = failed(sluice("status", "toy", AWS_ENDPOINT_URL="http://127.0.0.1:9"))

    assert "http://127.0.0.1:9" in message
    assert "make up" in message


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for command in ("provision", "send", "status", "redrive", "predict"):
        assert command in done.stdout
