"""Clients of the services that the stand-in uses."""

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
    """Return a client of S3 at a URL; every call has a time-out and a limit of retries."""
    return _session().client("s3", endpoint_url=endpoint, config=_CONFIG)


def logs_client(endpoint: str) -> Any:
    """Return a client of CloudWatch Logs at a URL, with the same limits."""
    return _session().client("logs", endpoint_url=endpoint, config=_CONFIG)


def cloudwatch_client(endpoint: str) -> Any:
    """Return a client of CloudWatch at a URL that fails early, as its callers call again within a second."""
    return _session().client("cloudwatch", endpoint_url=endpoint, config=_IMPATIENT)


def _session() -> boto3.Session:
    """Return a session with credentials that an emulator accepts, independent of the machine's own."""
    return boto3.Session(
        aws_access_key_id="localcloud",
        aws_secret_access_key="localcloud",  # noqa: S106 an emulator's, not a secret
        region_name=REGION,
    )
