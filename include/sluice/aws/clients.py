"""Makes all AWS clients.

Their endpoints are configured elsewhere: boto3 reads ``AWS_ENDPOINT_URL`` and ``AWS_ENDPOINT_URL_<SERVICE>``; in
Airflow they come from the connection. No other code in Sluice depends on which cloud it talks to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(
    connect_timeout=5,
    # Longer than a long poll (20 s) and than an endpoint may take to respond (60 s).
    read_timeout=70,
    retries={"mode": "standard", "total_max_attempts": 5},
    max_pool_connections=32,
    user_agent_extra="sluice",
)
# What a log says goes into messages only. No wait and no failure becomes late because it can't be read.
_LOGS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})

# A subscription brings an event every five seconds (Kinesis API reference, SubscribeToShard), and no call takes longer.
_KINESIS = Config(read_timeout=30)
_OF_SERVICE = {"kinesis": _KINESIS, "logs": _LOGS}


def _from_environment(service: str) -> str | None:
    return None


@dataclass(frozen=True)
class Aws:
    """Makes the clients of one account and region, one for each service: making one takes longer than most calls.

    Args:
        session: The boto3 session, with the credentials and the region.
        endpoint: Returns the URL of a service, by its boto3 name; None for boto3's own choice.
    """

    session: boto3.Session = field(default_factory=boto3.Session)
    endpoint: Callable[[str], str | None] = _from_environment
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    # Threads may share a client, but not the session that makes it.
    _making: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def client(self, service: str) -> Any:
        """Return the client of a service, with time-outs on every call and at most five attempts.

        Args:
            service: The boto3 name of the service, such as ``sqs``.
        """
        with self._making:
            if service not in self._clients:
                self._clients[service] = self.make_client(service)
            return self._clients[service]

    def make_client(self, service: str) -> Any:
        """Return a new client of a service. :meth:`client` caches it."""
        config = _CONFIG.merge(_OF_SERVICE.get(service, Config()))
        return self.session.client(service, endpoint_url=self.endpoint(service), config=config)  # type: ignore[call-overload]
