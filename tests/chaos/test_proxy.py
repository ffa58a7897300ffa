"""The proxy kills who has called, and nobody else."""

from __future__ import annotations

import socket
import subprocess
import sys
from urllib.parse import urlsplit

from tests.chaos.proxy import Proxy
from tests.conftest import free_ports

# Connects from a port to another one, and holds the connection until standard input ends.
_CALL = """
import socket, sys

local, server = map(int, sys.argv[1:])
end = socket.socket()
end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
end.bind(("127.0.0.1", local))
end.connect(("127.0.0.1", server))
print("connected", flush=True)
sys.stdin.read()
"""


def test_process_that_uses_the_callers_port_towards_another_server_is_not_the_caller() -> None:
    """GIVEN that the test's own process calls the cloud from the port from which a child calls the proxy."""
    (port,) = free_ports(1)
    with (
        socket.create_server(("127.0.0.1", 0)) as upstream,
        Proxy("http://127.0.0.1:1", 0) as proxy,
        socket.socket() as ours,
    ):
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.bind(("127.0.0.1", port))
        ours.connect(upstream.getsockname())
        words = [sys.executable, "-c", _CALL, str(port), str(urlsplit(proxy.url).port)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.readline() == b"connected\n"

            assert proxy.caller(port).pid == child.pid
            assert proxy.caller(port).pid == child.pid  # it is known now

            child.stdin.close()
