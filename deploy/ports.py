"""The ports that Sluice listens on, by the variables that set them."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

AIRFLOW_PORTS = ("AIRFLOW__API__PORT", "POSTGRES_PORT")

_LOOPBACK = "127.0.0.1"


class PortTaken(Exception):
    """Another program listens on a port. The message names the variable and the file that set it."""


def require_free(settings: Mapping[str, str], names: Iterable[str]) -> None:
    """Require that ports are free.

    Args:
        settings: The variables of .env or .env.example, with their values.
        names: The variables that set the ports.

    Raises:
        PortTaken: for the first port that is not free.
    """
    for name in names:
        host = settings["AIRFLOW__API__HOST"] if name == "AIRFLOW__API__PORT" else _LOOPBACK
        _require_free(host, int(settings[name]), name)


def _require_free(host: str, port: int, name: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"port {port} of {host} is not free ({error.strerror}): stop what listens there (`make down`, if it is "
                f"an earlier `make up`), or set {name} in .env (a copy of .env.example)"
            ) from error
