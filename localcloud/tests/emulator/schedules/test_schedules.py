"""Schedules that fire: once, by rate, by cron and in a time zone, from requests and from stacks."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError
from tests.conftest import PYTHON

from localcloud.testing.clouds import Cloud, LocalCloud
from localcloud.testing.stacks import WAIT
from localcloud.testing.waiting import wait_for

_ROLE = "arn:aws:iam::000000000000:role/schedules"
_OFF = {"Mode": "OFF"}


def make_machine(cloud: Cloud, name: str) -> str:
    """Return the ARN of a state machine that succeeds at once."""
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    states = cloud.client("stepfunctions")
    return str(states.create_state_machine(name=name, definition=definition, roleArn=_ROLE)["stateMachineArn"])


def schedule(cloud: Cloud, name: str, expression: str, machine: str, **more: Any) -> str:
    target = {"Arn": machine, "RoleArn": _ROLE, **more.pop("target", {})}
    made = cloud.client("scheduler").create_schedule(
        Name=name, ScheduleExpression=expression, FlexibleTimeWindow=_OFF, Target=target, **more
    )
    return str(made["ScheduleArn"])


def executions(cloud: Cloud, machine: str) -> list[Any]:
    """Return the executions of a machine, with their inputs."""
    states = cloud.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=machine)["executions"]
    return [states.describe_execution(executionArn=each["executionArn"]) for each in listed]


def first(cloud: Cloud, machine: str, seconds: float = 30.0) -> Any:
    return wait_for(lambda: executions(cloud, machine), seconds=seconds, what=f"an execution of {machine}")[0]


def at(time: datetime) -> str:
    return f"at({time:%Y-%m-%dT%H:%M:%S})"


def soon() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)


def test_a_schedule_starts_a_machine_once_with_its_input(cloud: Cloud, name: str) -> None:
    machine, due = make_machine(cloud, name), soon()
    target = {"Input": '{"time": "<aws.scheduler.scheduled-time>", "schedule": "<aws.scheduler.schedule-arn>"}'}
    arn = schedule(cloud, name, at(due), machine, target=target, ActionAfterCompletion="DELETE")
    found = first(cloud, machine)
    assert json.loads(found["input"]) == {"time": f"{due:%Y-%m-%dT%H:%M:%SZ}", "schedule": arn}
    assert timedelta(0) <= found["startDate"] - due < timedelta(seconds=5)
    scheduler = cloud.client("scheduler")
    wait_for(lambda: not scheduler.list_schedules(NamePrefix=name)["Schedules"], what="end of the schedule")
    assert len(executions(cloud, machine)) == 1


def test_a_schedule_has_a_time_zone_and_a_default_input(cloud: Cloud, name: str) -> None:
    machine, due = make_machine(cloud, name), soon()
    tokyo = due.astimezone(ZoneInfo("Asia/Tokyo"))
    arn = schedule(cloud, name, at(tokyo), machine, ScheduleExpressionTimezone="Asia/Tokyo")
    event = json.loads(first(cloud, machine)["input"])
    assert (event["detail-type"], event["resources"]) == ("Scheduled Event", [arn])
    assert event["time"] == f"{due:%Y-%m-%dT%H:%M:%SZ}"


def test_a_disabled_schedule_does_not_fire(cloud: Cloud, name: str) -> None:
    silent, machine, due = make_machine(cloud, f"{name}-x"[:80]), make_machine(cloud, name), soon()
    schedule(cloud, f"{name}-x"[:64], at(due), silent, State="DISABLED")
    schedule(cloud, name, at(due + timedelta(seconds=1)), machine)
    first(cloud, machine)
    assert not executions(cloud, silent)


@pytest.mark.slow
def test_rates_and_crons_fire_each_minute(cloud: Cloud, name: str) -> None:
    machines = {expression: make_machine(cloud, f"{name}-{kind}"[:80]) for kind, expression in _EACH_MINUTE.items()}
    for kind, expression in _EACH_MINUTE.items():
        schedule(cloud, f"{name}-{kind}"[:64], expression, machines[expression])
    created = datetime.now(UTC)
    by_rate = first(cloud, machines["rate(1 minute)"], seconds=90)
    assert timedelta(seconds=58) <= by_rate["startDate"] - created <= timedelta(seconds=64)
    by_cron = first(cloud, machines["cron(* * * * ? *)"], seconds=90)
    assert by_cron["startDate"].second <= 3


_EACH_MINUTE = {"rate": "rate(1 minute)", "cron": "cron(* * * * ? *)"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ScheduleExpression": "rate(5 seconds)"}, "Invalid Schedule Expression rate"),
        ({"ScheduleExpression": "cron(0 9 * * * *)"}, "Invalid Schedule Expression cron"),
        ({"ScheduleExpression": "at(tomorrow)"}, "Invalid Schedule Expression at"),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Invalid Schedule Expression Timezone"),
        ({"Target": {"Arn": "arn:aws:kinesis:us-east-1:0:stream/a", "RoleArn": _ROLE}}, "no target of this cloud"),
        ({"State": "PAUSED"}, "enum value set"),
    ],
)
def test_a_schedule_that_could_not_fire_is_refused(
    cloud: Cloud, name: str, changes: dict[str, Any], message: str
) -> None:
    target = {"Arn": "arn:aws:states:us-east-1:000000000000:stateMachine:a", "RoleArn": _ROLE}
    request = {"Name": name, "ScheduleExpression": "rate(1 hour)", "FlexibleTimeWindow": _OFF, "Target": target}
    with pytest.raises(ClientError, match=message) as refused:
        cloud.client("scheduler").create_schedule(**{**request, **changes})
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def template(name: str, expression: str, machine: str) -> str:
    properties = {
        "Name": name,
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "FlexibleTimeWindow": _OFF,
        "Target": {"Arn": machine, "RoleArn": _ROLE, "Input": '{"from": "a stack"}'},
    }
    return json.dumps({"Resources": {"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}}})


def test_a_stack_makes_changes_and_removes_schedules(cloud: Cloud, name: str) -> None:
    stacks, scheduler, machine = cloud.client("cloudformation"), cloud.client("scheduler"), make_machine(cloud, name)
    stacks.create_stack(StackName=name, TemplateBody=template(name, "cron(0 9 ? * MON-FRI *)", machine))
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)
    found = scheduler.get_schedule(Name=name)
    assert (found["ScheduleExpression"], found["ScheduleExpressionTimezone"]) == (
        "cron(0 9 ? * MON-FRI *)",
        "Europe/Berlin",
    )
    berlin = soon().astimezone(ZoneInfo("Europe/Berlin"))
    stacks.update_stack(StackName=name, TemplateBody=template(name, at(berlin), machine))
    stacks.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=WAIT)
    assert json.loads(first(cloud, machine)["input"]) == {"from": "a stack"}
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=WAIT)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        scheduler.get_schedule(Name=name)
    refused = f"{name}-x"[:64]
    stacks.create_stack(StackName=refused, TemplateBody=template(refused, "rate(1 second)", machine))
    with pytest.raises(Exception, match="ROLLBACK"):
        stacks.get_waiter("stack_create_complete").wait(StackName=refused, WaiterConfig=WAIT)


@pytest.mark.chaos
def test_a_schedule_survives_a_kill(localcloud: LocalCloud) -> None:
    cloud = localcloud.up()
    machine = make_machine(cloud, "killed")
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=15)
    schedule(cloud, "killed", at(due), machine)
    localcloud.kill("emulator")
    cloud = localcloud.up()
    assert first(cloud, machine)["startDate"] >= due


_MONDAY = "2026-03-02T"  # a Monday


@pytest.mark.parametrize(
    ("expression", "timezone", "after", "until", "due"),
    [
        ("rate(5 minutes)", "UTC", "10:04:59", "10:05:00", "10:05:00"),
        ("rate(5 minutes)", "UTC", "10:05:00", "10:09:59", None),
        ("rate(5 minutes)", "UTC", "09:59:59", "10:00:00", None),  # not when it is created, at 10:00:00
        ("rate(1 minute)", "UTC", "10:00:00", "10:10:30", "10:10:00"),
        ("cron(0 9 ? * MON-FRI *)", "UTC", "08:59:59", "09:00:00", "09:00:00"),
        ("cron(0 9 ? * MON-FRI *)", "Europe/Berlin", "07:59:59", "08:00:00", "08:00:00"),
        ("cron(0 9 ? * TUE *)", "UTC", "08:59:59", "09:00:00", None),
        ("cron(0/15 * * * ? *)", "UTC", "10:01:00", "10:46:00", "10:45:00"),
        ("cron(30 10 L * ? *)", "UTC", "10:29:59", "10:30:00", None),
        ("at(2026-03-02T12:00:00)", "UTC", "11:59:59", "12:00:00", "12:00:00"),
        ("at(2026-03-02T12:00:00)", "UTC", "12:00:00", "12:00:01", None),
        ("at(2026-03-02T12:00:00)", "Asia/Tokyo", "02:59:59", "03:00:00", "03:00:00"),
    ],
)
def test_a_time_is_due_by_its_expression(
    expression: str, timezone: str, after: str, until: str, due: str | None
) -> None:
    script = """
import json, sys
from datetime import datetime
from localcloud.emulator.schedules.occurrences import latest
expression, timezone, *times = json.loads(sys.argv[1])
due = latest(expression, timezone, *(datetime.fromisoformat(time) for time in times))
print(due and due.timestamp())
"""
    times = [f"{_MONDAY}{time}+00:00" for time in ("10:00:00", after, until)]
    arguments = json.dumps([expression, timezone, *times])
    found = subprocess.run([PYTHON, "-c", script, arguments], capture_output=True, text=True, check=True, timeout=60)
    wanted = due and datetime.fromisoformat(f"{_MONDAY}{due}+00:00").timestamp()
    assert found.stdout.strip() == str(wanted)
