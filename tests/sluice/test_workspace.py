"""A workspace is a declared pipeline that is provisioned."""

from __future__ import annotations

import pytest
from tests.conftest import Cloud
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import EVENTS, MODULES, TOY, message, reading, toy

from sluice.aws.clients import Aws
from sluice.aws.resources import Resources
from sluice.errors import DeclarationError, MissingResource
from sluice.provisioning.provision import provision
from sluice.workspace import Workspace

PIPELINE = "from tests.sluice.toy import toy\nPIPELINE = toy(name={name!r})\n"


def test_declared_and_provisioned_pipeline_opens(aws: Aws, declare: Declare, toy_resources: Resources) -> None:
    declare("toy", {**MODULES, "pipeline": PIPELINE.format(name="toy")})

    workspace = Workspace.open(aws, "toy")

    assert workspace.pipeline == TOY
    assert workspace.resources == toy_resources
    assert workspace.lake.uri(workspace.lake.layout.dataset("raw")) == f"s3://{toy_resources.bucket}/toy/raw/"
    assert list(workspace.lake.objects("empty-folder")) == []


def test_lake_of_another_grain_or_zone_is_refused(cloud: Cloud, aws: Aws, declare: Declare) -> None:
    declare("divided", {**MODULES, "pipeline": PIPELINE.format(name="divided")})
    provision(cloud, toy(name="divided"))
    put_raw(Workspace.open(aws, "divided").lake, EVENTS, "2013-01-01", [message(reading("r", TOY.start))])
    hourly = "from tests.sluice.toy import toy\nPIPELINE = toy(name='divided', every='hour')\n"
    declare("divided", {**MODULES, "pipeline": hourly})

    with pytest.raises(DeclarationError, match=r"pipeline divided declares every='hour' .* partitions of every='day'"):
        Workspace.open(aws, "divided")


def test_undeclared_pipeline_is_reported(aws: Aws) -> None:
    with pytest.raises(DeclarationError, match="there is no pipeline 'nothing'"):
        Workspace.open(aws, "nothing")


def test_unprovisioned_pipeline_is_reported(aws: Aws, cloud: Cloud, declare: Declare) -> None:
    declare("unprovisioned", {"pipeline": PIPELINE.format(name="unprovisioned")})

    with pytest.raises(MissingResource, match="run `sluice provision unprovisioned`"):
        Workspace.open(aws, "unprovisioned")
