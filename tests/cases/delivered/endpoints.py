"""Deploys models by the operator of the training DAG, at an endpoint that fails, or takes long."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.awsrequest import AWSResponse

from localcloud.testing.waiting import wait_for
from sluice.serving.recipe import recipe_of_config
from sluice.workspace import Workspace
from sluice_airflow.operators import RollBackEndpointOperator
from sluice_airflow.shared import WORKSPACES
from tests.cases.case import Case
from tests.plugins.faults import Happens, answered
from tests.plugins.task_life import Clock, deferral_of, event_of, lines_of_triggers, run, run_from
from tests.plugins.test_operators import (
    ENDPOINT,
    Trained,
    described,
    live_scores,
    nothing_is_deployed,
    put_archive,
    put_model,
    status,
)


def check(case: Case, request: pytest.FixtureRequest) -> None:
    checks: Mapping[str, Callable[[Case, pytest.FixtureRequest], None]] = {
        "endpoints/01-config-that-serves-was-deleted": check_deleted_config,
        "endpoints/02-creating-for-an-hour": check_creating,
    }
    parcels: Workspace = request.getfixturevalue("parcels")
    for model in ("first", "second"):
        request.getfixturevalue(model)
    nothing_is_served(parcels)
    try:
        checks[case.id](case, request)
    finally:
        nothing_is_served(parcels)


def nothing_is_served(parcels: Workspace) -> None:
    """Delete what was deployed, and forget the clients that have hooks."""
    WORKSPACES.clear()
    nothing_is_deployed(parcels)


def check_deleted_config(case: Case, request: pytest.FixtureRequest) -> None:
    """What serves is read back after a roll-back, and made whole by the action that the failure names."""
    parcels: Workspace = request.getfixturevalue("parcels")
    first, second = request.getfixturevalue("first"), request.getfixturevalue("second")
    sagemaker = parcels.aws.client("sagemaker")
    run(first.deploy())
    proven = described(parcels)["EndpointConfigName"]
    sagemaker.delete_endpoint_config(EndpointConfigName=proven)
    never_answers(parcels, second)

    with pytest.raises(AirflowFailException) as failed:
        run(second.deploy())

    assert case.right["deploy"] == "fails"
    named = {
        "what is served now": f"rolled back: {proven} is live",
        "endpoint config c1 is gone": f"endpoint configuration {proven} is gone",
        "what to do": "run `sluice rollback parcels --to 1`, which creates it again, then deploy again",
    }
    assert [what for what in case.right["must_name"] if named[what] not in str(failed.value)] == []
    assert "\n" not in str(failed.value)
    assert (case.right["live"], described(parcels)["EndpointConfigName"], status(parcels)) == (
        "model 1",
        proven,
        "InService",
    )
    light, heavy = live_scores(parcels)
    assert light < 0.5 < heavy
    assert recipe_of_config(parcels, proven) is None
    undo = RollBackEndpointOperator(task_id="roll_back", pipeline="parcels", deployment="1", poll_seconds=0.1)
    assert case.right["probe_of_model_1"] == "passes"
    assert run(undo) == {"deployment": 1, "config": proven, "job": first.job.name}
    assert recipe_of_config(parcels, proven) is not None


def check_creating(case: Case, request: pytest.FixtureRequest) -> None:
    """An hour passes on the clock of the wait; what fails after it is a real container."""
    parcels: Workspace = request.getfixturevalue("parcels")
    first: Trained = request.getfixturevalue("first")
    (seconds,) = re.findall(r"Creating for (\d+) s", case.given["service"][0])
    with pytest.MonkeyPatch.context() as patch:
        clock, lines = Clock(patch), lines_of_triggers(patch)
        never_answers(parcels, first)
        stays_creating(parcels, request.getfixturevalue("at_aws"), lambda: clock.now < int(seconds))
        deploy = partial(first.deploy, poll_seconds=15)

        waiting = deferral_of(deploy())  # without a worker
        event, ended = event_of(waiting.trigger), clock.now
        reason = described(parcels)["FailureReason"]
        with pytest.raises(AirflowFailException) as failed:
            run_from(partial(deploy().resume, {}, event=event), deploy())

    assert case.right["waits_without_a_worker"]
    assert case.right["bounded"]
    assert int(seconds) < waiting.trigger.deadline <= 2 * int(seconds)
    assert event["found"] == "Failed"
    assert int(seconds) <= ended < int(seconds) + 15
    named = {"endpoint": f"endpoint {ENDPOINT} does not serve", "FailureReason": " ".join(reason.split())}
    assert reason
    assert [what for what in case.right["must_name"] if named[what] not in str(failed.value)] == []
    told = [line for line in lines if line.startswith(f"waiting for endpoint {ENDPOINT}, which is Creating; ")]
    lasted = [timedelta(minutes=int(line.split(":")[-2]), hours=int(line.split(":")[-3][-1])) for line in told]
    assert lasted == [timedelta(minutes=minutes) for minutes in range(0, 60, 10)]
    check_endless(request, first)


def check_endless(request: pytest.FixtureRequest, first: Trained) -> None:
    """A wait without an end ends, too."""
    parcels: Workspace = request.getfixturevalue("parcels")
    nothing_is_served(parcels)
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        never_answers(parcels, first)
        stays_creating(parcels, request.getfixturevalue("at_aws"), lambda: True)
        with pytest.raises(AirflowException, match=rf"{ENDPOINT}, which is Creating took longer than 1:30:00; check "):
            run(first.deploy(poll_seconds=60))
    assert clock.now == pytest.approx(2 * 5400, abs=1)


def never_answers(parcels: Workspace, trained: Trained) -> None:
    """Put a model under the name of the one that will be deployed that never answers a ping."""
    put_model(parcels, trained, parcels.lake.uri(put_archive(parcels, b"this is no model")))


def stays_creating(parcels: Workspace, at_aws: Callable[[str, Happens], None], lasts: Callable[[], bool]) -> None:
    """Describe the endpoint as Creating while ``lasts`` returns True, and then as it is once its start has failed."""

    def creating(**_: Any) -> AWSResponse | None:
        if status(parcels) == "Deleted":
            return None
        if not lasts():
            wait_for(lambda: status(parcels) in ("Failed", "Deleted"), what="an endpoint that has failed")
            return None
        shown = described(parcels)
        times = {name: shown[name].timestamp() for name in ("CreationTime", "LastModifiedTime")}
        members = {name: shown[name] for name in ("EndpointName", "EndpointArn", "EndpointConfigName")}
        return answered(json.dumps({**members, **times, "EndpointStatus": "Creating"}))

    at_aws("sagemaker.DescribeEndpoint", creating)
