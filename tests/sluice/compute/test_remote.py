"""What holds wherever a step runs: the same bytes, one effect for each attempt, and a reason for every end."""

from __future__ import annotations

import json

import pytest
from tests.calendars import utc
from tests.sluice.compute.conftest import DOUBLED, Elsewhere, put_readings
from tests.sluice.compute.running import DAY, STEP, made, records, result, run, runtime, start
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import EVENTS, message, reading

from sluice.aws.failures import is_transient
from sluice.compute.contract import Started
from sluice.compute.remote import RemoteRuntime
from sluice.compute.requests import Request
from sluice.errors import MissingResource, SluiceError, StepOutgrown
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

RUNTIMES = {"Lambda": "Lambda(memory_mb=512, seconds={seconds})", "Fargate": "Fargate(vcpu=0.25, memory_gb=0.5)"}
CHANGING = {"written_at", "run"}
TWO_DAYS = "dt=2013-01-01..dt=2013-01-02"

FAILS = """
def doubled(conform):
    print("the unit of value is", 42)
    raise KeyError("unit")
"""
HOLDS_TOO_MUCH = """
import time

def doubled(conform):
    held = bytearray(700 * 1024 * 1024)
    time.sleep(120)
    return conform
"""


def forget_manifest(workspace: Workspace, day: int) -> None:
    key = workspace.lake.layout.manifest(STEP, utc(f"dt=2013-01-0{day}"))
    workspace.lake.s3.delete_object(Bucket=workspace.lake.bucket, Key=key)


@pytest.fixture(params=["Lambda", pytest.param("Fargate", marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def declared(kind: str, seconds: int = 60) -> str:
    return RUNTIMES[kind].format(seconds=seconds)


def test_step_gives_the_bytes_of_the_worker(elsewhere: Elsewhere, kind: str) -> None:
    workspace = elsewhere.make("Worker()", days=2)
    in_worker = run(workspace, TWO_DAYS)
    worker = [made(workspace, f"dt=2013-01-0{day}") for day in (1, 2)]
    for day in (1, 2):
        forget_manifest(workspace, day)
    elsewhere.declare(declared(kind))
    workspace = elsewhere.provision()

    there = run(workspace, TWO_DAYS)

    assert {**there, "ran": None} == {**in_worker, "ran": None}
    assert str(there["ran"]).startswith(f"on {kind} with")
    for before, day in zip(worker, (1, 2), strict=True):
        now = made(workspace, f"dt=2013-01-0{day}")
        assert (now.digest, now.files, now.inputs, now.code) == (
            before.digest,
            before.files,
            before.inputs,
            before.code,
        )
        assert before.run is not None
        assert now.run is not None
        assert (before.run.runtime, before.run.dollars) == ("the Airflow worker", 0)
        assert now.run.runtime.startswith(f"{kind} with")
        assert now.run.reason == "declared"
        assert now.run.bytes == before.run.bytes > 0
        assert now.run.dollars > 0
        assert now.run.peak_mb > 50


def test_ids_are_compared_wherever_the_step_runs(elsewhere: Elsewhere, kind: str) -> None:
    """A first copy that comes late takes the place of the other, which was made elsewhere as well."""
    elsewhere.declare("Worker()", conform=declared(kind))
    workspace = elsewhere.provision()
    days = {1: DAY, 2: "dt=2013-01-02"}
    found = []
    for first in ("elsewhere", "in the worker"):
        if first == "in the worker":
            for folder in (workspace.lake.layout.ids("conform"), workspace.lake.layout.dataset("conform")):
                for key, _, _ in list(workspace.lake.objects(folder)):
                    workspace.lake.s3.delete_object(Bucket=workspace.lake.bucket, Key=key)
            elsewhere.declare("Worker()")
            workspace = elsewhere.provision()
        for day in (2, 1):
            body = reading("r", f"2013-01-0{day}T07:00:00+00:00")
            put_raw(workspace.lake, EVENTS, f"2013-01-0{day}", [message(body, day)])
            run(workspace, days[day], "conform")
        found.append([made(workspace, key, "conform") for key in days.values()])

    members = {"files", "quarantined", "inputs", "code", "rows_out", "rejected"}
    there, here = ([each.model_dump(include=members) for each in manifests] for manifests in found)
    assert there == here
    assert [each.rows_out for each in found[0]] == [1, 0]
    assert [each.run.runtime.startswith(kind) for each in found[0] if each.run] == [True, True]


def test_step_that_has_nothing_to_do_starts_nothing(elsewhere: Elsewhere, kind: str) -> None:
    workspace = elsewhere.make(declared(kind))
    run_step(workspace, STEP, DAY)

    started = start(workspace)

    counts = {"changed": 0, "rows_in": 1, "rows_out": 1, "rejected": 0}
    assert started.result == {"partitions": DAY, "held_back": 0, **counts}
    assert records(workspace) == []


def test_second_start_adopts_what_runs(elsewhere: Elsewhere, kind: str) -> None:
    workspace = elsewhere.make(declared(kind))

    first, second = start(workspace), start(workspace)

    assert result(workspace, first) == result(workspace, second)
    assert records(workspace) == ["1-claim.json", "1-result.json"]
    assert made(workspace).revision == 1


def test_changed_input_is_other_work(elsewhere: Elsewhere, kind: str) -> None:
    workspace = elsewhere.make(declared(kind))
    run(workspace)
    put_readings(workspace, 1, 5, 7)
    run_step(workspace, "conform", DAY)

    ran = run(workspace)

    assert (ran["changed"], ran["rows_out"]) == (1, 2)
    assert len(records(workspace)) == 4


def test_error_of_the_step_is_one_line_with_the_end_of_its_log(elsewhere: Elsewhere, kind: str) -> None:
    workspace = elsewhere.make(declared(kind), FAILS)

    with pytest.raises(SluiceError) as failed:
        run(workspace)

    assert str(failed.value) == (
        f"step 'doubled' of {elsewhere.name} failed on {DAY}: KeyError: 'unit'; correct pipelines/{elsewhere.name}, "
        f"then clear this task; its log ends: the unit of value is 42"
    )
    assert not is_transient(failed.value)
    assert workspace.lake.manifest(STEP, utc(DAY)) is None


def test_failed_attempt_is_followed_by_another(elsewhere: Elsewhere, kind: str) -> None:
    workspace = elsewhere.make(declared(kind), FAILS)
    for _ in range(2):
        with pytest.raises(SluiceError):
            run(workspace)

    assert records(workspace) == ["1-claim.json", "1-result.json", "2-claim.json", "2-result.json"]


def test_too_much_memory_ends_the_step_alone(elsewhere: Elsewhere, kind: str) -> None:
    workspace = elsewhere.make(declared(kind), HOLDS_TOO_MUCH)

    with pytest.raises(
        StepOutgrown, match=rf"over {DAY} on {kind} with .* needs more memory than it has: it held \d+ MB"
    ):
        run(workspace)


def test_what_is_not_provisioned_starts_nothing(elsewhere: Elsewhere, kind: str) -> None:
    elsewhere.make("Worker()")
    elsewhere.declare(declared(kind))
    workspace = elsewhere.workspace()

    with pytest.raises(MissingResource, match=rf"there is no .* {elsewhere.name}-doubled; run `sluice provision"):
        start(workspace)

    assert records(workspace) == []


def test_other_code_than_that_of_the_dag_is_refused_before_it_starts(elsewhere: Elsewhere, kind: str) -> None:
    elsewhere.make(declared(kind))
    elsewhere.declare(declared(kind), DOUBLED.replace("* 2", "+ 0"))
    workspace = elsewhere.workspace()

    with pytest.raises(SluiceError, match=r"has the code [0-9a-f]{12} of step 'doubled', and the DAG has [0-9a-f]{12}"):
        start(workspace)

    assert records(workspace) == []


def test_image_of_other_code_than_it_was_provisioned_for_refuses_the_step(elsewhere: Elsewhere, kind: str) -> None:
    workspace = elsewhere.make(declared(kind))
    there = runtime(workspace)
    assert isinstance(there, RemoteRuntime)
    request = Request(
        pipeline=elsewhere.name,
        step=STEP,
        partitions=DAY,
        code="0" * 64,
        work="1" * 64,
        attempt=1,
        size=there.size,
        reason="declared",
        seconds=60,
        dollars_per_second=0,
    )

    sent = Started(str(request), {**there.send(request), "work": request.work, "attempt": request.attempt})

    with pytest.raises(
        SluiceError, match=rf"^{kind} with .* has the code [0-9a-f]{{12}} .* and the DAG has 000000000000"
    ):
        result(workspace, sent)


def test_result_is_small_and_names_the_manifests(elsewhere: Elsewhere, kind: str) -> None:
    workspace = elsewhere.make(declared(kind), days=2)

    started = start(workspace, TWO_DAYS)
    ran = result(workspace, started)

    assert len(json.dumps(dict(started.reference))) < 1024
    assert len(json.dumps(dict(ran))) < 1024
