"""Each check of the doctor is good where all is well, and names the next action where one thing is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import boto3
import pytest
from tests.conftest import Cloud
from tests.sluice.conftest import Declare
from tests.sluice.toy import EVENTS, MODULES, toy

from sluice.aws.clients import Aws
from sluice.aws.resources import find
from sluice.doctor import Finding, examine_machine, examine_pipeline
from sluice.lake.store import Lake
from sluice.provisioning.provision import provision

PIPELINE = """
from dataclasses import replace
from tests.sluice.toy import EVENTS, toy
PIPELINE = toy(name="examined", sources=({source},), deployment=None)
"""


def machine(aws: Aws, ahead: timedelta = timedelta()) -> dict[str, Finding]:
    return {each.check: each for each in examine_machine(aws, lambda: datetime.now(UTC) + ahead)}


def pipeline(aws: Aws) -> dict[str, Finding]:
    return {each.check.removeprefix("examined: "): each for each in examine_pipeline(aws, "examined")}


@pytest.fixture
def declared(cloud: Cloud, declare: Declare) -> None:
    declare("examined", {**MODULES, "pipeline": PIPELINE.format(source="EVENTS")})
    provision(cloud, toy(name="examined", sources=(EVENTS,), deployment=None))


def test_machine_on_which_all_is_well(aws: Aws) -> None:
    found = machine(aws)

    assert list(found) == ["Python", "region", "credentials", "clock"]
    assert [each.text for each in found.values() if not each.good] == []
    assert "of account 000000000000, by http://127.0.0.1:" in found["credentials"].text


@pytest.mark.parametrize(("minutes", "text"), [(10, "s ahead of AWS's; set it: "), (-10, "s behind AWS's; set it: ")])
def test_clock_that_is_wrong(aws: Aws, minutes: int, text: str) -> None:
    clock = machine(aws, timedelta(minutes=minutes))["clock"]

    assert not clock.good
    assert clock.text.partition(" ")[0] in ("599", "600", "601")
    assert text in clock.text


def test_machine_without_credentials_or_a_region(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("empty") / "none"))

    found = machine(Aws(boto3.Session(), cloud.endpoint))

    assert {check: each.text for check, each in found.items() if not each.good} == {
        "region": "none; set AWS_DEFAULT_REGION, or region in the profile",
        "credentials": "none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    }


@pytest.mark.usefixtures("one_attempt")
def test_service_that_does_not_answer(aws: Aws) -> None:
    found = machine(Aws(aws.session, lambda _: "http://127.0.0.1:9"))

    assert "http://127.0.0.1:9" in found["credentials"].text
    assert found["credentials"].text.endswith("(on a laptop: make up)")
    assert "clock" not in found


@pytest.mark.usefixtures("declared")
def test_pipeline_with_which_all_is_well(aws: Aws) -> None:
    found = pipeline(aws)

    assert [(check, each.text) for check, each in found.items() if not each.good] == []
    assert list(found) == ["declaration", "stack", "lake", "queue events", "SageMaker", "quotas"]


@pytest.mark.usefixtures("declared")
def test_pipeline_whose_declaration_or_stack_has_changed(aws: Aws, declare: Declare) -> None:
    declare("examined", {**MODULES, "pipeline": PIPELINE.format(source="replace(EVENTS, max_receives=3)")})
    stack = pipeline(aws)["stack"]
    assert (stack.good, stack.text) == (
        False, "not as declared (Modify EventsQueue); run `sluice provision examined`"
    )  # fmt: skip

    declare("examined", {**MODULES, "pipeline": "PIPELINE = (\n"})
    (declaration,) = pipeline(aws).values()
    assert (declaration.check, declaration.good) == ("examined: declaration", False)
    assert "SyntaxError" in declaration.text


@pytest.mark.usefixtures("declared")
def test_pipeline_that_lacks_what_a_worker_reads(cloud: Cloud, aws: Aws) -> None:
    sqs, queue = cloud.client("sqs"), find(aws, "examined").made_for("queues", "events")
    sqs.delete_queue(QueueUrl=queue)
    found = pipeline(aws)["queue events"]
    assert (found.good, queue in found.text) == (False, True)

    bucket = find(aws, "examined").bucket
    Lake(cloud.client("s3"), bucket, "examined").put("examined/division.json", b"{")
    found = pipeline(aws)["lake"]
    assert (found.good, "division.json" in found.text) == (False, True)

    cloud.client("cloudformation").delete_stack(StackName="sluice-examined")
    found = pipeline(aws)
    assert "run `sluice provision examined`" in found["lake"].text
    assert not any(found[check].good for check in ("stack", "lake"))
