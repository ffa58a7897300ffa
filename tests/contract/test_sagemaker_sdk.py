"""The SageMaker Python SDK's ModelTrainer, unmodified, against the stand-in."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.conftest import Cloud

from localcloud.testing import training
from localcloud.testing.training import Data

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / ".venv-sdk/bin/python"
TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
ANYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def role(cloud: Cloud) -> str:
    """Return a role that the SDK accepts: it simulates the role's policies before it trains."""
    iam, version = cloud.client("iam"), "2012-10-17"
    made = iam.create_role(
        RoleName="sdk-training", AssumeRolePolicyDocument=json.dumps({"Version": version, "Statement": [TRUST]})
    )
    iam.put_role_policy(
        RoleName="sdk-training",
        PolicyName="all",
        PolicyDocument=json.dumps({"Version": version, "Statement": [ANYTHING]}),
    )
    arn: str = made["Role"]["Arn"]
    return arn


@pytest.mark.slow
def test_model_trainer_of_the_sdk_trains(
    cloud: Cloud, sagemaker: SageMakerClient, s3: S3Client, data: Data, tmp_path: Path
) -> None:
    assert SDK.exists(), "the SDK's environment is missing: make test installs it"
    done = subprocess.run(
        [str(SDK), str(Path(__file__).with_name("sdk_train.py")), role(cloud), data.bucket],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **cloud.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    job = sagemaker.describe_training_job(TrainingJobName=done.stdout.split()[-1])
    assert job["TrainingJobStatus"] == "Completed"
    assert job["HyperParameters"]["num_round"] == "12"
    metrics = {each["MetricName"]: each["Value"] for each in job["FinalMetricDataList"]}
    assert metrics["validation:auc"] > 0.9
    assert training.booster_of(s3, job["ModelArtifacts"]["S3ModelArtifacts"]).num_boosted_rounds() == 12
