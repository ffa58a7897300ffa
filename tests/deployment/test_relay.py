"""The relay brings services on loopback into a network namespace that has no network."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from deploy.worker import _LOOPBACK_UP, _namespace
from tests.deployment.files import ROOT

from localcloud.testing.waiting import wait_for

RELAY = [sys.executable, str(ROOT / "deploy" / "relay.py")]
BODY = bytes(range(256)) * 40_000  # ten megabytes: many blocks
FETCH = """
import hashlib, sys, urllib.request
with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=30) as answer:
    print(hashlib.sha256(answer.read()).hexdigest())
"""

pytestmark = pytest.mark.skipif(not _namespace(), reason="this machine allows no network namespaces")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a web server on loopback, with a file."""
    (tmp_path / "file").write_bytes(BODY)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def _fetch_inside(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    up = f'{" ".join(_LOOPBACK_UP)} && exec "$@"'
    relayed = [*RELAY, "in", str(folder), str(port), sys.executable, "-c", FETCH, f"http://127.0.0.1:{port}/file"]
    command = [*_namespace(), "sh", "-c", up, "sh", *relayed]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_service_is_reached_from_a_namespace_without_a_network(tmp_path: Path, port: int) -> None:
    with subprocess.Popen([*RELAY, "out", str(tmp_path), str(port)]) as relay:
        wait_for((tmp_path / f"{port}.sock").exists, what="the socket")
        done = _fetch_inside(tmp_path, port)
        relay.terminate()

    assert done.stdout.strip() == hashlib.sha256(BODY).hexdigest(), done.stderr


def test_service_that_is_away_closes_the_connection_and_ends_no_relay(tmp_path: Path, port: int) -> None:
    """A worker whose broker restarts connects again."""
    done = _fetch_inside(tmp_path, port)

    assert done.returncode == 1
    assert "RemoteDisconnected" in done.stderr
