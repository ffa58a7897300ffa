"""The clients of tests that make no call, or hook into a client of their own; and a model that none has made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3

from sluice.aws.clients import Aws
from sluice.aws.resources import Resources
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.xgboost import XGBoost
from sluice.lake.store import Lake
from sluice.training.models import Model
from sluice.workspace import Workspace

ROLE = "arn:aws:iam::000000000000:role/training-role"
MODEL = Model(
    candidate="xgboost",
    job="toy-xgboost-0123456789abcdef",
    image="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0",
    artefact="s3://bucket/toy/models/toy-xgboost-0123456789abcdef/output/model.tar.gz",
    algorithm=XGBoost.algorithm,
    snapshot="f" * 32,
    takes_missing=True,
    instance_type="ml.m5.large",
    trained=datetime(2013, 1, 9, 12, tzinfo=UTC),
    seconds=61,
)
_OFFLINE = Aws(boto3.Session("test", "test", region_name="us-east-1"))


@dataclass(frozen=True)
class OneClient(Aws):
    """Returns the test's own client, for every service."""

    only: Any = None

    def client(self, service: str) -> Any:
        return self.only


def offline(pipeline: Pipeline, role_arn: str = ROLE) -> Workspace:
    """Return the workspace of a pipeline, for code that makes no call."""
    resources = Resources(pipeline.name, "bucket", "", role_arn, "", {})
    return Workspace(pipeline, resources, Lake(_OFFLINE.client("s3"), "bucket", pipeline.name), _OFFLINE)
