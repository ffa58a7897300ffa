"""Clients with which the emulator's own threads use this cloud, as any program does."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import boto3
from botocore.config import Config

_ANY_KEY = "localcloud"  # keys are not checked
_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 5, "mode": "standard"})


class Client(Protocol):
    """Returns a boto3 client. Clients are safe to share between threads."""

    def __call__(self, service: str, region: str, account: str = ...) -> Any:
        """Return the client.

        Args:
            service: The service's name in boto3.
            region: The region.
            account: The id of the account; by default that of the cloud.
        """


def clients(endpoint: str) -> Client:
    """Return what makes clients, and keeps them.

    Args:
        endpoint: The URL of the emulator.
    """
    made: dict[tuple[str, str, str], Any] = {}
    lock = threading.Lock()

    def client(service: str, region: str, account: str = _ANY_KEY) -> Any:
        with lock:  # the making of clients is not thread-safe
            if (service, region, account) not in made:
                made[service, region, account] = boto3.Session().client(  # type: ignore[call-overload]
                    service,
                    endpoint_url=endpoint,
                    region_name=region,
                    aws_access_key_id=account,  # the emulator takes an id of 12 digits for the account
                    aws_secret_access_key=_ANY_KEY,
                    config=_CONFIG,
                )
            return made[service, region, account]

    return client
