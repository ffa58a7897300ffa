"""The plan as a user sees it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conftest import Cloud
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import EVENTS, MODULES, STEPS, message, reading, toy
from typer.testing import CliRunner, Result

from sluice.aws.clients import Aws
from sluice.aws.resources import find
from sluice.cli.app import app
from sluice.errors import DeclarationError, SluiceError
from sluice.lake.store import Lake
from sluice.provisioning.provision import provision
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

PIPELINE = """
from tests.sluice.toy import toy
PIPELINE = toy(name="planned", training=None, deployment=None)
"""
Plan = Callable[..., Result]


@pytest.fixture
def plan(cloud: Cloud) -> Plan:
    """Runs ``sluice plan planned`` with more arguments."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["plan", "planned", *arguments], env={"COLUMNS": "160", **cloud.environment})

    return run


@pytest.fixture
def lake(cloud: Cloud, aws: Aws, declare: Declare) -> Lake:
    """The lake of the pipeline ``planned``, empty."""
    declare("planned", {**MODULES, "pipeline": PIPELINE})
    provision(cloud, toy(name="planned", training=None, deployment=None))
    lake = Lake(cloud.client("s3"), find(cloud, "planned").bucket, "planned")
    for key, _, _ in lake.objects(""):
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    return lake


def rows(done: Result) -> list[list[str]]:
    """Return the cells of the rows of the table."""
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_each_step_is_shown_with_its_partitions_and_why(lake: Lake, plan: Plan, declare: Declare, aws: Aws) -> None:
    for day in ("2013-01-01", "2013-01-02", "2013-01-03"):
        put_raw(lake, EVENTS, day, [message(reading(day, f"{day}T07:00:00+00:00"))])
    assert rows(plan("--from", "2013-01-01", "--to", "2013-01-02"))[0] == [
        "conform", "dt=2013-01-01..dt=2013-01-02", "runs", "never made"
    ]  # fmt: skip
    assert rows(plan("--from", "2013-01"))[0][1] == "dt=2013-01-01..dt=2013-01-03"
    for step in ("conform", "doubled", "running"):
        run_step(Workspace.open(aws, "planned"), step, "dt=2013-01-01..dt=2013-01-03")
    done = plan()
    assert (done.exit_code, done.output) == (0, "9 of 9 partitions of steps are as they should be\n")

    put_raw(lake, EVENTS, "2013-01-02", [message(reading("late", "2013-01-02T07:00:00+00:00", 7))])
    declare("planned", {**MODULES, "pipeline": PIPELINE, "steps": STEPS.replace('"total"', '"sum"')})

    code = "code: running in pipelines.planned.steps"
    shown = rows(plan())
    assert shown == [
        ["conform", "dt=2013-01-02", "runs", "raw/events/dt=2013-01-02 has changed"],
        ["doubled", "dt=2013-01-01..dt=2013-01-03", "runs", code],
        ["running", "dt=2013-01-01..dt=2013-01-03", "runs", code],
    ]
    assert rows(plan("conform")) == shown[:1]
    assert plan("conform").output.endswith("2 of 3 partitions of steps are as they should be\n")


def test_pipeline_for_which_nothing_has_arrived_has_no_plan(lake: Lake, plan: Plan) -> None:
    done = plan()

    assert (done.exit_code, done.output) == (0, "nothing has arrived\n")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("nothing",), DeclarationError, "pipeline planned has no step 'nothing'; it has conform, doubled, running"),
        (("--from", "yesterday"), SluiceError, "'yesterday' is not a date; write 2013-01-15, 2013-01-15T07 or 2013-01"),
    ],
)
@pytest.mark.usefixtures("lake")
def test_what_does_not_exist_is_named(
    plan: Plan, arguments: tuple[str, ...], kind: type[Exception], message: str
) -> None:
    done = plan(*arguments)

    assert isinstance(done.exception, kind)
    assert str(done.exception) == message


def test_late_partitions_are_shown_or_that_nothing_is(cloud: Cloud, lake: Lake) -> None:
    def late() -> Result:
        return CliRunner().invoke(app, ["late", "planned"], env={"COLUMNS": "160", **cloud.environment})

    done = late()
    assert (done.exit_code, done.output) == (0, "planned: nothing is late\n")
    status = CliRunner().invoke(app, ["status", "planned"], env={"COLUMNS": "160", **cloud.environment})
    assert "planned: nothing is late" in status.output.splitlines()

    put_raw(lake, EVENTS, "2013-01-01", [message(reading("e", "2013-01-01T07:00:00+00:00"))])

    first, *_ = rows(late())
    assert (first[0], first[1], first[3], first[4]) == (
        "conform, doubled, running", "dt=2013-01-01", "not made", "never made"
    )  # fmt: skip
    assert first[2].endswith(" h")
