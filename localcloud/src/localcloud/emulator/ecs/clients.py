"""Clients of this cloud, with which the emulator does what ECS does in the name of a user's account."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 3, "mode": "standard"})


class Clients:
    """Makes clients and keeps them. Safe to share between threads.

    Args:
        endpoint: The URL of the emulator.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, str], Any] = {}

    def client(self, service: str, region: str, account: str) -> Any:
        """Return a client of a service.

        Args:
            service: Its name in boto3.
            region: The region.
            account: The id of the account.
        """
        with self._lock:  # the making of clients is not thread-safe
            if (service, region, account) not in self._made:
                self._made[service, region, account] = boto3.Session().client(  # type: ignore[call-overload]
                    service,
                    region_name=region,
                    endpoint_url=self._endpoint,
                    aws_access_key_id=account,  # the emulator takes an id of 12 digits for the account
                    aws_secret_access_key="localcloud",  # noqa: S106 an emulator's, not a secret
                    config=_CONFIG,
                )
            return self._made[service, region, account]
