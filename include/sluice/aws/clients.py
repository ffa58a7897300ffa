"""The one place that makes AWS clients.

Which cloud they talk to is not decided here: boto3 reads ``AWS_ENDPOINT_URL`` and
``AWS_ENDPOINT_URL_<SERVICE>``, and Airflow hands in what its connection says. Nothing else in Sluice asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(
    connect_timeout=5,
    # Above the 20 seconds of a long poll and at the 60 of an endpoint's answer.
    read_timeout=70,
    retries={"mode": "standard", "total_max_attempts": 5},
    max_pool_connections=32,
    user_agent_extra="sluice",
)


def _from_environment(service: str) -> str | None:
    return None


@dataclass(frozen=True)
class Aws:
    """Makes clients of one account and region; ``endpoint`` gives a service's URL, or None for boto3's own choice."""

    session: boto3.Session = field(default_factory=boto3.Session)
    endpoint: Callable[[str], str | None] = _from_environment

    def client(self, service: str) -> Any:
        """A client with time-outs on every call and at most five attempts."""
        return self.session.client(service, endpoint_url=self.endpoint(service), config=_CONFIG)  # type: ignore[call-overload]
