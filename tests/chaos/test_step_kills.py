"""SIGKILL at every call of a worker whose step runs elsewhere, and of the function or the task (P4, P5, P16).

Each try is the same work over two days of its own, and is killed one call later than the try before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.calendars import utc, utc_ranges
from tests.chaos import step_life
from tests.chaos.faults import Delay, Kill, Rule, Schedule
from tests.chaos.forking import Ask, forking
from tests.chaos.proxy import Proxy
from tests.chaos.trial import is_one_line
from tests.conftest import Cloud
from tests.sluice.compute.conftest import Elsewhere
from tests.sluice.compute.running import STEP, result, run, start
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import EVENTS, message, reading

from localcloud.testing.waiting import wait_for
from sluice.compute.attempts import Result
from sluice.compute.contract import Started
from sluice.compute.names import LOG
from sluice.errors import SluiceError
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1200)]

DECLARED = {"Lambda": "Lambda(memory_mb=512, seconds=60)", "Fargate": "Fargate(vcpu=0.25, memory_gb=0.5)"}
DOUBLED = """
def doubled(conform):
    print("doubles", conform["event_id"].iloc[0])
    return conform.assign(value=conform["value"] * 2)
"""
SECONDS = 4
SLOW = f"""
import time
{DOUBLED}
slow, at_once = {SECONDS}, doubled

def doubled(conform):
    time.sleep(slow)
    return at_once(conform)
"""
FIRST = date(2013, 1, 1)
MOST_CALLS = 100
# How a function or a task has ended that was killed.
KILLED = re.compile(r"ended without a result|failed before it began|was killed by the system, as for want of memory")
LOG_END = re.compile(r"; its log ends: .*doubles r-2013-")

Made = Mapping[str, Any]


@dataclass(frozen=True)
class Try:
    """The work of one try: two days.

    Attributes:
        workspace: The pipeline.
        number: 1 for the first.
    """

    workspace: Workspace
    number: int

    @property
    def days(self) -> list[str]:
        return [(FIRST + timedelta(days=2 * self.number + n)).isoformat() for n in (0, 1)]

    @property
    def ranges(self) -> str:
        return f"dt={self.days[0]}..dt={self.days[1]}"

    def undisturbed(self) -> Made:
        """Land the days, run the step in this process, and return and remove what it has made."""
        for place, day in enumerate(self.days, 1):
            sent = message(reading(f"r-{day}", f"{day}T12:00:00+00:00", 10 * self.number + place))
            put_raw(self.workspace.lake, EVENTS, day, [sent])
        run_step(self.workspace, "conform", self.ranges)
        run_step(self.workspace, STEP, self.ranges)
        made, lake = self.made(), self.workspace.lake
        for key in made:
            lake.s3.delete_object(Bucket=lake.bucket, Key=key)
        assert not self.made()
        return made

    def made(self) -> Made:
        """Return the output of the step: the ETag of each object, and of each manifest what does not differ by run."""
        lake, found = self.workspace.lake, dict[str, Any]()
        for partition in utc_ranges(self.ranges):
            found |= {key: etag for key, _, etag in lake.objects(lake.layout.partition(STEP, partition))}
            manifest = lake.manifest(STEP, partition)
            if manifest is not None:
                key = lake.layout.manifest(STEP, partition)
                found[key] = manifest.model_dump(mode="json", exclude={"written_at", "run"})
        return found

    def complete(self) -> list[str]:
        """Return the days that have a manifest, with their objects."""
        lake = self.workspace.lake
        keys = {day: lake.layout.manifest(STEP, utc(f"dt={day}")) for day in self.days}
        made = self.made()
        return [day for day, key in keys.items() if key in made]

    def part_of(self, made: Made, days: list[str]) -> Made:
        return {key: value for key, value in made.items() if any(f"/dt={day}/" in key for day in days)}


@dataclass(frozen=True)
class Trials:
    """A pipeline whose step runs elsewhere, behind a proxy that kills.

    Attributes:
        elsewhere: The pipeline.
        workspace: The same, opened. None of its calls goes through the proxy.
        kind: Where the step runs.
        proxy: The proxy.
    """

    elsewhere: Elsewhere
    workspace: Workspace
    kind: str
    proxy: Proxy

    def kill(self, happened: bool, nth: int) -> None:
        """Kill who makes the nth call from now on: before it happens, or after it."""
        self.proxy.schedule = Schedule(0, [Rule("*", Kill(happened), after=nth - 1, times=1)])

    def spare(self) -> bool:
        """Kill nobody from now on; return whether somebody was killed."""
        killed = bool(self.proxy.injected)
        self.proxy.schedule = Schedule(0, [])
        return killed

    @cached_property
    def group(self) -> str:
        return f"/sluice/{self.elsewhere.name}/{STEP}"

    def log(self) -> list[str]:
        pages = self.workspace.aws.client("logs").get_paginator("filter_log_events").paginate(logGroupName=self.group)
        return [line for page in pages for event in page["events"] for line in event["message"].splitlines()]

    def results(self) -> Mapping[str, list[str]]:
        """Return how the attempts of each work have ended, in order."""
        lake, found = self.workspace.lake, dict[str, list[str]]()
        for key, _, _ in lake.objects(lake.layout.computed(STEP, "", "").rstrip("/")):
            if key.endswith("-result.json"):
                ended = Result.model_validate_json(lake.get(key))
                found.setdefault(key.split("/")[-2], []).append(ended.outcome)
        return found

    def runs_of(self, work: str) -> int:
        """Return how many tasks were started for the first attempt of a work, and have stopped."""
        listed = self.workspace.aws.client("ecs").list_tasks(
            cluster=self.elsewhere.name, startedBy=f"sluice-{work[:24]}-1", desiredStatus="STOPPED"
        )
        return len(listed["taskArns"])

    def wait_for_rest(self) -> None:
        """Wait until nothing runs: no task, no function, and none of the processes that they have started."""
        wait_for(lambda: not self._running_tasks(), what="end of the tasks")
        wait_for(lambda: not self._open_invocations(), what="end of the functions")
        wait_for(lambda: not self._processes(), seconds=10, what="end of the processes")

    def _running_tasks(self) -> list[str]:
        if self.kind == "Lambda":
            return []
        listed: list[str] = self.workspace.aws.client("ecs").list_tasks(cluster=self.elsewhere.name)["taskArns"]
        return listed

    def _open_invocations(self) -> set[str]:
        lines = self.log()
        begun, ended = (
            {line.split()[2] for line in lines if line.startswith(f"{what} RequestId: ")}
            for what in ("START", "REPORT")
        )
        return begun - ended

    def _processes(self) -> list[psutil.Process]:
        """Return the processes of steps, but for those of functions that wait for their next invocation."""
        return [each for each in psutil.process_iter() if self._is_of_step(each) and not _is_idle_function(each)]

    def _is_of_step(self, process: psutil.Process) -> bool:
        variables = environment_of(process)
        return variables.get("AWS_LAMBDA_LOG_GROUP_NAME") == self.group or variables.get(LOG, "").startswith(self.group)


def environment_of(process: psutil.Process) -> Mapping[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _is_idle_function(process: psutil.Process) -> bool:
    try:
        return "localcloud.launcher" in process.parent().cmdline()  # type: ignore[union-attr]
    except (psutil.Error, AttributeError):
        return False


@pytest.fixture(params=list(DECLARED))
def trials(elsewhere: Elsewhere, cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[Trials]:
    kind: str = request.param
    elsewhere.declare(DECLARED[kind], DOUBLED)
    with Proxy(cloud.endpoint_url, 0) as proxy:
        yield Trials(elsewhere, elsewhere.provision(), kind, proxy)


@pytest.fixture
def worker(trials: Trials, cloud: Cloud, image_pipelines: Path) -> Iterator[Ask]:
    """A worker behind the proxy."""
    variables = {**cloud.environment, "AWS_ENDPOINT_URL": trials.proxy.url}
    with forking(step_life, trials.elsewhere.name, STEP, path=(str(image_pipelines.parent),), **variables) as ask:
        yield ask


@pytest.mark.parametrize("happened", [False, True], ids=["before", "after"])
def test_worker_killed_at_every_call_has_one_effect(trials: Trials, worker: Ask, happened: bool) -> None:
    tries: list[tuple[Try, Made]] = []
    for nth in range(1, MOST_CALLS):
        tried = Try(trials.workspace, nth)
        reference = tried.undisturbed()
        tries.append((tried, reference))
        trials.kill(happened, nth)
        ended = worker(tried.ranges)
        if not trials.spare():
            assert ended == "done"
            assert tried.made() == reference
            break
        assert ended == "killed"
        assert worker(tried.ranges) == "done"
        assert tried.made() == reference, f"killed at call {nth}"
    else:
        pytest.fail("each try was killed")

    assert len(tries) > 10
    trials.wait_for_rest()
    for tried, reference in tries:
        assert tried.made() == reference
    doubled = Counter(line for line in trials.log() if line.startswith("doubles "))
    assert doubled == {f"doubles r-{day}": 1 for tried, _ in tries for day in tried.days}, "each day was run once"
    results = trials.results()
    assert list(results.values()) == [["done"]] * len(tries)
    if trials.kind == "Fargate":
        assert {work: trials.runs_of(work) for work in results} == dict.fromkeys(results, 1)


@pytest.mark.parametrize("trials", ["Lambda"], indirect=True)
def test_second_invocation_before_the_first_claims_its_attempt_has_no_effect(trials: Trials, worker: Ask) -> None:
    """The next try can't know of an invocation that has not begun, so it invokes the function again."""
    trials.elsewhere.declare(DECLARED["Lambda"], SLOW)
    tried = Try(trials.elsewhere.provision(), 1)
    reference = tried.undisturbed()
    with Proxy(trials.proxy.upstream.geturl(), 0, Rule("s3:PutObject */1-claim.json", Delay(SECONDS))) as late:
        send_through_proxy(trials, late)
        trials.proxy.schedule = Schedule(0, [Rule("* 2015-03-31/functions/*/invocations", Kill(True), times=1)])
        assert worker(tried.ranges) == "killed"
        assert worker(tried.ranges) == "done"
        trials.wait_for_rest()

    assert tried.made() == reference
    lines = trials.log()
    assert len([line for line in lines if line.startswith("START ")]) == 2
    assert sorted(line for line in lines if line.startswith("doubles ")) == [f"doubles r-{day}" for day in tried.days]
    assert list(trials.results().values()) == [["done"]]


@pytest.mark.parametrize("happened", [False, True], ids=["before", "after"])
def test_function_or_task_killed_at_every_call_is_one_clear_error_and_runs_again(
    trials: Trials, happened: bool
) -> None:
    send_through_proxy(trials, trials.proxy)
    errors = 0
    for nth in range(1, MOST_CALLS):
        tried = Try(trials.workspace, nth)
        reference = tried.undisturbed()
        trials.kill(happened, nth)
        started = start(trials.workspace, tried.ranges)
        error = error_of(trials, started)
        if not trials.spare():
            assert error is None
            assert tried.made() == reference
            break
        days = tried.complete()
        assert tried.part_of(tried.made(), days) == tried.part_of(reference, days), f"killed at call {nth}"
        if error is not None:
            assert is_one_line(error)
            assert KILLED.search(str(error)), error
            assert LOG_END.search(str(error)) or not days, error
            errors += 1
            run(trials.workspace, tried.ranges)
        assert tried.made() == reference, f"killed at call {nth}"
    else:
        pytest.fail("each try was killed")

    assert errors > 15
    trials.wait_for_rest()
    assert max(map(len, trials.results().values())) <= 2


def send_through_proxy(trials: Trials, proxy: Proxy) -> None:
    """Have the function, or the tasks, call the cloud through a proxy."""
    aws, name = trials.workspace.aws, f"{trials.elsewhere.name}-{STEP}"
    through = {"AWS_ENDPOINT_URL": proxy.url}
    if trials.kind == "Lambda":
        functions = aws.client("lambda")
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, **through}})
        functions.get_waiter("function_updated_v2").wait(FunctionName=name)
        return
    ecs = aws.client("ecs")
    found = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
    (container,) = found["containerDefinitions"]
    container["environment"] += [{"name": key, "value": value} for key, value in through.items()]
    kept = ("family", "requiresCompatibilities", "networkMode", "cpu", "memory", "taskRoleArn", "executionRoleArn")
    ecs.register_task_definition(containerDefinitions=[container], **{key: found[key] for key in kept})


def error_of(trials: Trials, started: Started) -> SluiceError | None:
    """Return the error with which a run has ended; None if it has a result."""
    workspace, reference = trials.workspace, started.reference
    if trials.kind == "Lambda":
        # A look reads the log once a minute only, so it is always the same minute.
        minute = datetime.fromisoformat(reference["since"]) + timedelta(minutes=1)
        workspace = replace(workspace, lake=replace(workspace.lake, now=lambda: minute))
    try:
        result(workspace, started)
    except SluiceError as error:
        return error
    return None
