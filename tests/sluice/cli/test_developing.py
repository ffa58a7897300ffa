"""A pipeline goes through its life in one command, and what is done is not done again."""

from __future__ import annotations

import json

import pytest
from tests.conftest import Cloud
from tests.sluice.cli.running import Run
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import keys_below
from tests.sluice.toy import EVENTS, MODULES, reading, toy

from sluice.aws.clients import Aws
from sluice.aws.resources import find
from sluice.lake.store import Lake
from sluice.provisioning.provision import provision
from sluice.steps.outlook import outlook
from sluice.workspace import Workspace

PIPELINE = """
from tests.sluice.toy import EVENTS, toy
PIPELINE = toy(name="developed", sources=(EVENTS,), training=None, deployment=None)
"""


@pytest.fixture
def lake(cloud: Cloud, declare: Declare) -> Lake:
    """The lake of the pipeline ``developed``, for which events of three days wait: two of one day have the same id."""
    declare("developed", {**MODULES, "pipeline": PIPELINE})
    provision(cloud, toy(name="developed", sources=(EVENTS,), training=None, deployment=None))
    found, sqs = find(cloud, "developed"), cloud.client("sqs")
    for number, (name, day) in enumerate([("a", 1), ("a", 1), ("b", 2), ("c", 3)]):
        sqs.send_message(
            QueueUrl=found.made_for("queues", "events"),
            MessageBody=reading(name, f"2013-01-0{day}T07:00:00+00:00"),
            MessageGroupId="g",
            MessageDeduplicationId=f"developed-{number}",
        )
    return Lake(cloud.client("s3"), found.bucket, "developed")


def test_what_waits_lands_and_is_transformed_once(sluice: Run, lake: Lake, aws: Aws) -> None:
    command = ("dev", "developed", "--settling-seconds", "0", "--json")
    landed = json.loads(sluice(*command, "--until", "ingest").out)
    assert landed["ingested"] == [
        {"source": "events", "messages": 4, "parts": 3, "closed": "dt=2013-01-01..dt=2013-01-03"}
    ]
    assert landed["transformed"] == []

    done = sluice(*command)

    assert (done.status, done.error) == (0, "running step conform\nrunning step doubled\nrunning step running\n")
    answer = json.loads(done.out)
    assert [(each["step"], each["changed"], each["rows_out"]) for each in answer["transformed"]] == [
        ("conform", 3, 3), ("doubled", 3, 3), ("running", 3, 3)
    ]  # fmt: skip
    assert answer["verdict"] is None
    workspace = Workspace.open(aws, "developed")
    assert {each.verdict for each in outlook(workspace)} == {"is done"}

    before = keys_below(lake, "developed/")
    again = sluice("dev", "developed", "--settling-seconds", "0")
    assert again.out.splitlines()[-1] == "developed: transform: none"
    assert keys_below(lake, "developed/") == before
