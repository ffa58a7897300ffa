"""What all commands share: help, options, JSON, and how they end."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator
from tests.sluice.cli.running import ROOT, Done, Run, event, failed, write
from tests.sluice.serving.live import Live

from sluice.cli import notes, predicting
from sluice.cli.app import app

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SCHEMAS = json.loads((ROOT / "docs" / "reference" / "cli.schema.json").read_text())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_by_both_names_in_a_group_and_answers_in_json(sluice: Run, command: str) -> None:
    long, short = (sluice(command, option, COLUMNS="80") for option in ("--help", "-h"))

    assert (long.status, long.out) == (0, short.out)
    assert max(map(len, long.out.splitlines())) <= 80
    assert "--json" in long.out
    assert COMMANDS[command].rich_help_panel in ("Set up", "Events", "Lake", "Model")
    assert command in {named.split()[0] for named in SCHEMAS}


def test_version_is_that_of_the_distribution(sluice: Run) -> None:
    assert sluice("--version").out == f"sluice {version('sluice')}\n"


def answered(done: Done, schema: str) -> dict[str, Any]:
    """Return the one JSON object of a command, which has its schema."""
    answer: dict[str, Any] = json.loads(done.out)
    Draft202012Validator(SCHEMAS[schema]).validate(answer)
    assert answer["schema_version"] == 1
    return answer


def test_status_answers_in_json(sluice: Run, live: Live) -> None:
    answer = answered(sluice("status", "toy", "--json"), "status")

    (pipeline,) = answer["pipelines"]
    assert (pipeline["pipeline"], pipeline["metric"], pipeline["endpoint"]["status"]) == ("toy", "auc", "InService")
    assert live.job.name in [job["name"] for job in pipeline["jobs"]]
    assert {"raw/events", "conform", "running"} <= {dataset["name"] for dataset in pipeline["datasets"]}
    assert answer["failed"] == {}


def test_log_of_the_newest_job_or_of_one_is_printed(sluice: Run, live: Live) -> None:
    text = sluice("logs", "toy", live.job.name, "--lines", "3")

    answer = answered(sluice("logs", "toy", live.job.name, "--lines", "3", "--json"), "logs")
    assert (answer["job"], text.out.splitlines()) == (live.job.name, answer["lines"])
    assert len(answer["lines"]) == 3
    assert answered(sluice("logs", "toy", "--json"), "logs")["job"].startswith("toy-xgboost-")
    assert sluice("logs", "toy", "toy-nothing").out == "toy-nothing has written no log yet\n"
    assert sluice("logs", "toy", "--lines", "0").status == 2


def test_watch_shows_the_status_as_often_as_it_looks(sluice: Run, live: Live) -> None:
    watched = sluice("watch", "toy", "--every", "1", "--looks", "2")

    assert watched.status == 0, watched.error
    assert watched.out.count("toy: datasets") == 2
    assert watched.out == sluice("status", "toy").out * 2


@pytest.mark.usefixtures("proven", "live")
def test_other_commands_answer_in_json(sluice: Run, tmp_path: Path) -> None:
    features = answered(sluice("features", "toy", "--json"), "features")["features"]
    assert features == [{"name": "value", "kind": "number"}, {"name": "total", "kind": "number"}]
    given = "0.5,0.25\n1,2\n"
    scores = answered(sluice("predict", "toy", "--json", given=given), "predict")["answers"]
    assert "\n".join(str(score) for (score,) in scores) + "\n" == sluice("predict", "toy", given=given).out
    assert answered(sluice("deployments", "toy", "--json"), "deployments")["deployments"]
    assert answered(sluice("check", "toy", "--json"), "check")["good"] == {"toy": ""}
    assert answered(sluice("plan", "toy", "--json"), "plan")["looked_at"] == 0
    assert answered(sluice("late", "toy", "--json"), "late")["late"] == []
    assert answered(sluice("clean", "toy", "--json"), "clean")["removed"] is None
    assert answered(sluice("redrive", "toy", "--json"), "redrive")["held"] == []
    assert answered(sluice("redrive", "toy", "--send", "--json"), "redrive --send")["sent_back"]
    assert answered(sluice("provision", "toy", "--dry-run", "--json"), "provision --dry-run")["template"]
    file = write(tmp_path / "events.jsonl", event("json-1"), "{", event("json-2"))
    sent = sluice("send", file, "--pipeline", "toy", "--keep-going", "--json")
    answer = answered(sent, "send")
    assert (sent.status, answer["sent"], answer["kept"]) == (1, 2, 2)
    assert [reason.startswith(f"{file} line 2 is not an event") for reason in answer["refused"]] == [True]


def test_doctor_answers_in_json_and_fails_if_something_is_wrong(sluice: Run) -> None:
    doctor = sluice("doctor", "toy", "--json", endpoint="toy-none")

    findings = answered(doctor, "doctor")["findings"]
    assert [each["check"] for each in findings if not each["good"]] == ["toy: stack"]
    assert failed(doctor) == f"error: 1 of {len(findings)} checks found something wrong; see above"


def test_status_breaks_no_word_at_80_columns(sluice: Run, live: Live) -> None:
    wide, narrow = (sluice("status", "toy", COLUMNS=columns) for columns in ("1000", "80"))

    assert max(map(len, narrow.out.splitlines())) <= 80
    words = {word for word in wide.out.replace("│", " ").split() if word.isprintable() and word[0] not in "┏┃┡└"}
    assert {word for word in words if len(word) < 55} <= set(narrow.out.replace("│", " ").split())


@pytest.mark.usefixtures("one_attempt")
def test_exit_status_says_who_has_refused(sluice: Run) -> None:
    """1: Sluice; 2: the command line is wrong; 3: AWS."""
    failed(sluice("status", "nothing"), status=1)
    assert sluice("status", "--nothing").status == 2
    assert sluice("provision").status == 2
    for command in ("late", "provision"):
        failed(sluice(command, "toy", AWS_ENDPOINT_URL="http://127.0.0.1:9"), status=3)


def test_verbose_says_where_an_error_comes_from(sluice: Run) -> None:
    quiet, verbose = sluice("status", "nothing"), sluice("--verbose", "status", "nothing")

    assert quiet.error == verbose.error.splitlines(keepends=True)[-1]
    assert "Traceback" in verbose.error
    assert "load_pipeline" in verbose.error


def test_quiet_leaves_out_what_is_said_beside_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for quiet in (False, True):
        with notes.on_standard_error():
            notes.set_level(quiet=quiet, verbose=False)
            notes.note("waiting for endpoint e")
            said.append((capsys.readouterr().err, notes.is_quiet()))

    assert said == [("waiting for endpoint e\n", False), ("", True)]


def test_interrupted_command_ends_with_130(sluice: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(predicting, "load_pipeline", interrupted)

    assert sluice("features", "toy").status == 130
