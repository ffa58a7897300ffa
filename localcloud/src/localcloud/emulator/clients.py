"""Clients with which the emulator's own threads use this cloud, as any program does."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

Client = Callable[[str, str], Any]
"""Returns a boto3 client for a service and a region. Clients are safe to share between threads."""

_ANY_KEY = "localcloud"  # keys are not checked
_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 5})


def clients(endpoint: str) -> Client:
    """Return what makes clients, one for each service and region.

    Args:
        endpoint: The URL of the emulator.
    """

    @functools.cache
    def client(service: str, region: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]  # its overloads want a literal name
            service,
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=_ANY_KEY,
            aws_secret_access_key=_ANY_KEY,
            config=_CONFIG,
        )

    return client
