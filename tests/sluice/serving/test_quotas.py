"""An instance type that the account has none of is refused before anything is paid."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.conftest import free_ports
from tests.sluice.serving.live import Live, at_endpoint
from tests.sluice.toy import TOY

from sluice.aws.clients import Aws
from sluice.declaration import Autoscaling, Continuous, Deployment, Pipeline, Scoring, Serverless, Tuning, XGBoost
from sluice.errors import QuotaTooLow
from sluice.serving.quotas import instances_needed, require_quotas
from sluice.serving.records import last_proven
from sluice.workspace import Workspace

GPU = "ml.p3.2xlarge"


def candidate(name: str, **members: Any) -> XGBoost:
    return XGBoost({"objective": "binary:logistic", "num_round": 5}, name=name, **members)


def training(*candidates: XGBoost, **members: Any) -> Pipeline:
    return replace(TOY, training=replace(TOY.require_training(), candidates=candidates), **members)


def test_jobs_side_by_side_are_counted_by_what_they_use() -> None:
    several = training(
        candidate("a"),
        candidate("b", tuning=Tuning({"eta": Continuous(0.1, 0.5)}, jobs=9, parallel=4)),
        candidate("c", spot=timedelta(hours=2), instance_type="ml.c5.large"),
        deployment=Deployment("toy-late", instance_type="ml.t2.medium", instances=3),
    )

    assert instances_needed(several, None) == {
        "ml.m5.large for training job usage": 1 + 4,
        "ml.m5.large for transform job usage": 2,
        "ml.c5.large for spot training job usage": 1,
        "ml.c5.large for transform job usage": 1,
        "ml.t2.medium for endpoint usage": 3,
    }
    for instance_type, needed in (("ml.m5.large", 2), ("ml.c5.large", 1), ("ml.m5.xlarge", 1)):
        scored = replace(several, scoring=Scoring(keep=("value",), instance_type=instance_type))
        assert instances_needed(scored, None)[f"{instance_type} for transform job usage"] == needed


@pytest.mark.parametrize(("instance_type", "together"), [("ml.m5.large", 4), ("ml.c5.large", 3)])
def test_what_is_live_needs_room_beside_what_is_new(live: Live, instance_type: str, together: int) -> None:
    """GIVEN a model on an m5.large, by which it was trained as well THEN it scores the rows beside the candidate."""
    declared = training(candidate("a"), deployment=Deployment("e", instance_type=instance_type, instances=3))
    record = last_proven(live.workspace.lake, live.endpoint)

    needed = instances_needed(declared, record)

    assert needed["ml.m5.large for transform job usage"] == 2
    assert needed["ml.m5.large for training job usage"] == 1
    assert needed[f"{instance_type} for endpoint usage"] == together


@pytest.mark.parametrize(("most", "is_live", "needed"), [(3, False, 3), (3, True, 3), (9, True, 9)])
def test_instances_that_an_endpoint_scales_to_are_counted(live: Live, most: int, is_live: bool, needed: int) -> None:
    scaling = Deployment("toy-late", instances=2, autoscaling=Autoscaling(most=most, requests=100))
    record = last_proven(live.workspace.lake, live.endpoint) if is_live else None

    found = instances_needed(training(candidate("a"), deployment=scaling), record)

    assert found["ml.m5.large for endpoint usage"] == needed


@pytest.mark.parametrize("deployment", [None, Deployment("toy-late", serverless=Serverless())])
def test_no_instances_are_counted_where_none_serve(deployment: Deployment | None) -> None:
    needed = instances_needed(training(candidate("a"), deployment=deployment), None)

    assert not [name for name in needed if "endpoint" in name]


def test_declared_instances_are_allowed(live: Live) -> None:
    require_quotas(live.workspace)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            training(candidate("a", instance_type=GPU)),
            f"a quota of 1 for '{GPU} for training job usage', .* has 0",
        ),
        (
            training(candidate("a", instance_type=GPU, spot=timedelta(hours=2))),
            f"'{GPU} for spot training job usage', and the account has 0",
        ),
        (training(candidate("a"), deployment=Deployment("any", instance_type=GPU)), f"'{GPU} for endpoint usage'"),
        (
            training(candidate("a"), deployment=Deployment("any", instances=21)),
            "a quota of 21 for 'ml.m5.large for endpoint usage', and the account has 20",
        ),
    ],
)
def test_instances_that_the_account_has_not_are_refused(live: Live, declared: Pipeline, message: str) -> None:
    with pytest.raises(QuotaTooLow, match=message) as refused:
        require_quotas(replace(live.workspace, pipeline=declared))

    assert "\n" not in str(refused.value)


def test_update_needs_room_for_the_new_instances_beside_the_old_ones(live: Live) -> None:
    def at(endpoint: str) -> Workspace:
        there = at_endpoint(live.workspace, endpoint)
        return replace(there, pipeline=replace(there.pipeline, deployment=Deployment(endpoint, instances=20)))

    require_quotas(at("no-such-endpoint"))
    with pytest.raises(QuotaTooLow, match=r"a quota of 21 for 'ml\.m5\.large for endpoint usage'"):
        require_quotas(at(live.endpoint))


def test_network_without_a_way_to_the_quotas_stops_no_training(
    live: Live, one_attempt: None, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = free_ports(1)
    aws = live.workspace.aws

    def endpoint(service: str) -> str | None:
        return f"http://127.0.0.1:{port}" if service == "service-quotas" else aws.endpoint(service)

    with caplog.at_level(logging.WARNING):
        require_quotas(replace(live.workspace, aws=Aws(aws.session, endpoint)))

    assert "ml.m5.large for endpoint usage were not checked" in caplog.text
