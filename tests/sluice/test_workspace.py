"""A workspace is a declared pipeline that is provisioned."""

from __future__ import annotations

import pytest
from tests.conftest import Cloud
from tests.sluice.conftest import Declare
from tests.sluice.toy import MODULES, TOY

from sluice.aws.clients import Aws
from sluice.aws.resources import Resources
from sluice.errors import DeclarationError, MissingResource
from sluice.lake.partitions import Calendar
from sluice.workspace import Workspace

PIPELINE = "from tests.sluice.toy import toy\nPIPELINE = toy(name={name!r})\n"


def test_declared_and_provisioned_pipeline_opens(aws: Aws, declare: Declare, toy_resources: Resources) -> None:
    declare("toy", {**MODULES, "pipeline": PIPELINE.format(name="toy")})

    workspace = Workspace.open(aws, "toy")

    assert workspace.pipeline == TOY
    assert workspace.resources == toy_resources
    assert workspace.lake.uri(workspace.lake.layout.dataset("raw")) == f"s3://{toy_resources.bucket}/toy/raw/"
    assert list(workspace.lake.objects("empty-folder")) == []


def test_lake_has_the_calendar_of_the_pipeline(aws: Aws, declare: Declare, toy_resources: Resources) -> None:
    monthly = "from tests.sluice.toy import toy\nPIPELINE = toy(every='month')\n"
    declare("toy", {**MODULES, "pipeline": monthly})

    assert Workspace.open(aws, "toy").lake.calendar == Calendar("month")


def test_undeclared_pipeline_is_reported(aws: Aws) -> None:
    with pytest.raises(DeclarationError, match="there is no pipeline 'nothing'"):
        Workspace.open(aws, "nothing")


def test_unprovisioned_pipeline_is_reported(aws: Aws, cloud: Cloud, declare: Declare) -> None:
    declare("unprovisioned", {"pipeline": PIPELINE.format(name="unprovisioned")})

    with pytest.raises(MissingResource, match="run `sluice provision unprovisioned`"):
        Workspace.open(aws, "unprovisioned")
