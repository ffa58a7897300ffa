"""Each failure is one line: what failed, where, and what to do next. And it isn't a success."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException, ParamValidationError
from tests.conftest import Cloud, free_ports
from tests.dags.airflow_home import AirflowHome, Finished, aws_connection
from tests.plugins.task_life import run

from sluice.aws.resources import Resources, find
from sluice.cli import app as cli
from sluice.declaration.loading import load_pipeline
from sluice.errors import DeclarationError
from sluice.provisioning.provision import provision
from sluice_airflow.sensors import BacklogSensor

ELSEWHERE = "eu-west-1"  # where nothing is provisioned
WITHOUT_QUEUE = "eu-west-2"
WITHOUT_MODEL = "eu-west-3"


def reason_of(finished: Finished) -> str:
    """Return the one line with which Airflow ends the output of a failed run."""
    assert finished.status != 0
    reasons = re.findall(r"^[\w.]*(?:Exception|Error): (.+)$", finished.output, flags=re.MULTILINE)
    assert len(set(reasons)) == 1, finished.output
    return str(reasons[0])


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``error`` is its one line on standard error, without the word ``error:``."""

    status: int
    output: str
    stderr: str

    @property
    def error(self) -> str:
        assert self.status != 0
        assert self.stderr.startswith("error: ")
        assert self.stderr.count("\n") == 1
        return self.stderr.removeprefix("error: ").rstrip("\n")


CommandLine = Callable[..., Ended]


@pytest.fixture
def command_line(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs ``sluice …`` against the cloud, with standard input and changes of the environment if given."""

    def run(*arguments: str, stdin: str = "", **environment: str) -> Ended:
        with monkeypatch.context() as patch:
            for name, value in {**cloud.environment, **environment}.items():
                patch.setenv(name, value)
            patch.setattr("sys.argv", ["sluice", *arguments])
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            try:
                cli.main()
                status: Any = 0
            except SystemExit as end:
                status = end.code
        printed = capfd.readouterr()
        return Ended(status or 0, printed.out, printed.err)

    return run


# DAG runs


def test_dags_test_of_an_unknown_pipeline_names_the_dag(airflow_home: AirflowHome) -> None:
    reason = reason_of(airflow_home.dags_test("trains_transform", "2013-01-02"))
    assert reason.startswith("Dag 'trains_transform' could not be found")


@pytest.mark.parametrize("kind", [pytest.param("ingest_queue", marks=pytest.mark.slow), "train"])
def test_pipeline_that_is_not_provisioned_gets_the_command_to_run(airflow_home: AirflowHome, kind: str) -> None:
    command = ("dags", "test", f"flights_{kind}", "2013-01-02")

    reason = reason_of(airflow_home.airflow(*command, environment={"AWS_DEFAULT_REGION": ELSEWHERE}))

    assert reason == (
        "pipeline flights: no parameter /sluice/flights/bucket in Parameter Store; run `sluice provision flights`"
    )


@pytest.fixture
def lost_queue(cloud: Cloud) -> str:
    """The URL of the pipeline's queue in another region, where it is provisioned but the queue was deleted."""
    elsewhere = replace(cloud, environment={**cloud.environment, "AWS_DEFAULT_REGION": WITHOUT_QUEUE})
    provision(elsewhere, load_pipeline("flights"))
    url = find(elsewhere, "flights").made_for("queues", "events")
    elsewhere.client("sqs").delete_queue(QueueUrl=url)
    return url


def test_missing_queue_is_named(airflow_home: AirflowHome, lost_queue: str, command_line: CommandLine) -> None:
    elsewhere = {"AWS_DEFAULT_REGION": WITHOUT_QUEUE}
    command = ("dags", "test", "flights_ingest_queue", "2013-01-02")

    reason = reason_of(airflow_home.airflow(*command, environment=elsewhere))

    assert reason.startswith(f"queue {lost_queue} is gone; ")
    assert reason.endswith("make it again as `sluice provision --dry-run` prints it for its pipeline")
    assert command_line("status", "flights", **elsewhere).error == reason


@pytest.mark.parametrize(
    ("dag_id", "name", "value", "reason"),
    [
        ("flights_ingest_queue", "lanes", 99, "99 is greater than the maximum of 20"),
        ("flights_ingest_queue", "lanes", 0, "0 is less than the minimum of 1"),
        ("flights_ingest_queue", "max_seconds", "long", "'long' is not of type 'integer'"),
        ("flights_transform", "from", "yesterday", "'yesterday' does not match"),
        ("flights_train", "to", "2013-1-1", "'2013-1-1' does not match"),
        ("flights_train", "poll_seconds", 0, "0 is less than or equal to the minimum of 0"),
    ],
)
def test_invalid_param_is_refused(dag_bag: DagBag, dag_id: str, name: str, value: object, reason: str) -> None:
    params = deepcopy(dag_bag.dags[dag_id].params)
    with pytest.raises(ParamValidationError, match=f"^Invalid input for param {name}: {re.escape(reason)}"):
        params[name] = value


def test_dags_test_refuses_an_invalid_param(airflow_home: AirflowHome) -> None:
    reason = reason_of(airflow_home.dags_test("flights_ingest_queue", "2013-01-02", lanes=99))
    assert reason == "Invalid input for param lanes: 99 is greater than the maximum of 20"


def test_range_that_ends_before_it_begins_fails_the_run(airflow_home: AirflowHome, flights: Resources) -> None:
    range_ = {"from": "2013-01-05", "to": "2013-01-02"}
    reason = reason_of(airflow_home.dags_test("flights_transform", "2013-01-02", **range_))
    assert reason == "the range from 2013-01-05 to 2013-01-02 ends before it begins; swap the two"


def closed_port() -> str:
    return f"http://127.0.0.1:{free_ports(1)[0]}"


@pytest.mark.usefixtures("one_attempt")
def test_closed_port_is_named_and_retried_later(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = closed_port()
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(endpoint, endpoint))
    sensor = BacklogSensor(task_id="wait", pipeline="flights", source="events", poll_seconds=1, max_wait_seconds=1)

    with pytest.raises(AirflowException) as failure:
        run(sensor)

    assert not isinstance(failure.value, AirflowFailException)  # that would not be retried
    assert failure.value.__context__ is None  # the log shows one line
    assert str(failure.value) == (
        f'Could not connect to the endpoint URL: "{endpoint}/"; check the connection aws_default and that the '
        f"service is up (on a laptop: make up)"
    )


@pytest.mark.slow
def test_dags_test_against_a_closed_port_fails(airflow_home: AirflowHome) -> None:
    endpoint = closed_port()
    closed = {"AIRFLOW_CONN_AWS_DEFAULT": aws_connection(endpoint, endpoint)}
    command = ("dags", "test", "flights_ingest_queue", "2013-01-02", "-c", '{"wait_seconds": 1}')

    # The wait outlives a service that does not answer, until its own end.
    reason = reason_of(airflow_home.airflow(*command, environment=closed))

    assert reason.startswith(f'Could not connect to the endpoint URL: "{endpoint}/"; check the connection aws_default')


# The library and the command line


def test_unknown_pipeline_is_named_with_the_known_ones() -> None:
    with pytest.raises(DeclarationError, match=r"^there is no pipeline 'trains'; known: .*flights"):
        load_pipeline("trains")


@pytest.mark.parametrize(
    "arguments",
    [("status", "trains"), ("predict", "trains"), ("provision", "trains"), ("send", "x", "--pipeline", "trains")],
)
def test_commands_refuse_an_unknown_pipeline(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    assert command_line(*arguments).error.startswith("there is no pipeline 'trains'; known: ")


@pytest.mark.parametrize("command", [("status", "flights"), ("send", "x", "--pipeline", "flights")])
def test_commands_name_the_command_that_provisions(command_line: CommandLine, command: tuple[str, ...]) -> None:
    ended = command_line(*command, AWS_DEFAULT_REGION=ELSEWHERE)
    assert ended.error.endswith("in Parameter Store; run `sluice provision flights`")


@pytest.mark.usefixtures("one_attempt")
def test_commands_name_a_closed_port(command_line: CommandLine) -> None:
    endpoint = closed_port()
    ended = command_line("status", "flights", AWS_ENDPOINT_URL=endpoint)
    assert ended.error == (
        f'Could not connect to the endpoint URL: "{endpoint}/"; check AWS_ENDPOINT_URL, credentials and region '
        f"(on a laptop: make up)"
    )


GOOD = json.dumps({"id": "a", "group": "g", "event_time": "2013-01-01T00:00:00+00:00", "body": {}})


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("no json\n", 1),
        (f"{GOOD}\n[1, 2]\n", 2),
        (GOOD.replace("group", "flock"), 1),
        (GOOD.replace("2013-01-01T00", "yesterday"), 1),
        (GOOD.replace("{}", '7.5, "extra": null') + "\n{", 2),
    ],
)
def test_send_names_the_line_that_is_no_event(
    command_line: CommandLine, flights: Resources, tmp_path: Path, content: str, line: int
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(content)
    ended = command_line("send", str(file), "--pipeline", "flights")
    assert ended.error.startswith(f"{file} line {line} is not an event (")


def test_send_names_a_file_that_it_cannot_read(command_line: CommandLine, flights: Resources, tmp_path: Path) -> None:
    broken = tmp_path / "events.jsonl.gz"
    broken.write_text("this is not gzip")
    for file in (tmp_path / "absent.jsonl", broken, tmp_path):
        assert command_line("send", str(file), "--pipeline", "flights").error.startswith(f"{file} can't be read: ")


def test_send_names_the_sources_of_the_pipeline(command_line: CommandLine, flights: Resources, tmp_path: Path) -> None:
    ended = command_line("send", str(tmp_path / "x"), "--pipeline", "flights", "--source", "weather")
    assert ended.error == "pipeline flights has these sources of events: events; name one with --source"


def test_predict_names_the_endpoint_without_a_live_model(command_line: CommandLine) -> None:
    """In a region of its own: another test may have trained where the others look."""
    assert command_line("provision", "flights", AWS_DEFAULT_REGION=WITHOUT_MODEL).status == 0

    ended = command_line("predict", "flights", stdin='{"distance": 300}\n', AWS_DEFAULT_REGION=WITHOUT_MODEL)

    assert ended.error == "no model was proven to be live at endpoint flights-late; run flights_train first"
