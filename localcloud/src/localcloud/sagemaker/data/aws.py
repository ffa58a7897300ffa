"""Clients of the services that the stand-in leans on, at the endpoint that it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from localcloud.sagemaker.api.arns import REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"total_max_attempts": 3, "mode": "standard"},
    s3={"addressing_style": "path"},
)
_IMPATIENT = Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1})


def s3_client(endpoint: str) -> S3Client:
    """A client of S3; every call has a time-out and a bound on retries."""
    return _session().client("s3", endpoint_url=endpoint, config=_CONFIG)


def logs_client(endpoint: str) -> Any:
    """A client of CloudWatch Logs, likewise."""
    return _session().client("logs", endpoint_url=endpoint, config=_CONFIG)


def cloudwatch_client(endpoint: str) -> Any:
    """A client of CloudWatch that doesn't wait for one that is away: its callers come again in a second."""
    return _session().client("cloudwatch", endpoint_url=endpoint, config=_IMPATIENT)


def _session() -> boto3.Session:
    """Credentials that an emulator accepts, whatever the machine's own are."""
    return boto3.Session(
        aws_access_key_id="localcloud",
        aws_secret_access_key="localcloud",  # noqa: S106 an emulator's, not a secret
        region_name=REGION,
    )
