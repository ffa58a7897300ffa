"""InvokeEndpoint against an application that does nothing but read CSV and predict, run by run in turns."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tests.conftest import Cloud, free_ports

from localcloud.testing.api import Api
from localcloud.testing.transcripts import Case, Channel, File
from localcloud.testing.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
_NAME = "bench-serving"
_ROUNDS = 3
_COLUMNS = 40
_CONNECTIONS = 8
_SECONDS = 3.0  # of load a run

RANDOM = np.random.default_rng(40)


def rows(count: int) -> np.ndarray[Any, Any]:
    """Return rows, label first: whether the first column and the product of the next two outweigh some noise."""
    features = RANDOM.normal(size=(count, _COLUMNS)).round(4)
    label = features[:, 0] + features[:, 1] * features[:, 2] > RANDOM.normal(0, 0.5, count)
    return np.column_stack([label.astype(int), features])


def csv(table: np.ndarray[Any, Any]) -> bytes:
    text = io.StringIO()
    np.savetxt(text, table, fmt="%g", delimiter=",")
    return text.getvalue().encode()


@dataclass(frozen=True)
class Server:
    """Where a model answers."""

    port: int
    path: str

    def request(self, body: bytes) -> bytes:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\nContent-Length: {len(body)}\r\n"
        )
        return head.encode() + b"\r\n" + body


@dataclass(frozen=True)
class Bench:
    """The same model behind both."""

    ours: Server
    bare: Server

    def seconds_of_one_row(self) -> float:
        """Return the median latency of a request of one row, ours divided by the bare one's."""
        return self._ratio(lambda server: median(_latencies(server, csv(rows(1)[:, 1:]), 2000)))

    def rate_of_rows(self) -> float:
        """Return the requests of 1,000 rows in a second by one client, ours divided by the bare one's."""
        body = csv(rows(1000)[:, 1:])
        return self._ratio(lambda server: 1 / float(np.mean(_latencies(server, body, 150))))

    def rate_of_load(self) -> float:
        """Return the requests of one row in a second over several connections, ours divided by the bare one's."""
        body = csv(rows(1)[:, 1:])
        return self._ratio(lambda server: asyncio.run(_load(server, body)))

    def _ratio(self, measure: Callable[[Server], float]) -> float:
        return median(measure(self.ours) / measure(self.bare) for _ in range(_ROUNDS))


@contextlib.contextmanager
def bench(cloud: Cloud, folder: Path) -> Iterator[Bench]:
    """Run both servers, each with a model of 100 rounds."""
    api = Api(cloud, _NAME)
    (port,) = free_ports(1)
    (folder / "rows.csv").write_bytes(csv(rows(20_000)))
    train = Channel("train", "text/csv", "File", "FullyReplicated", (File("rows.csv", folder / "rows.csv"),))
    hyperparameters = {"objective": "binary:logistic", "num_round": "100"}
    case = Case(_NAME, False, hyperparameters, (train,), {}, ())
    api.upload(_NAME, case)
    job = api.train(_NAME, case)
    model_data = job["ModelArtifacts"]["S3ModelArtifacts"]
    (folder / "model").write_bytes(api.files(model_data)["xgboost-model"])
    ours = Server(int(cloud.sagemaker_endpoint_url.rpartition(":")[2]), f"/endpoints/{_NAME}/invocations")
    with api.endpoint(_NAME, model_data, {}), _bare(folder / "model", port):
        yield Bench(ours, Server(port, "/invocations"))


@contextlib.contextmanager
def _bare(model: Path, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        [str(ROOT / ".venv-cloud/bin/python"), "-m", "tests.benchmarks.serving_bare", str(model), str(port)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for(listens, what="the bare application")
        yield
    finally:
        process.kill()
        process.wait()


def _latencies(server: Server, body: bytes, count: int) -> list[float]:
    """Return the seconds of each of so many requests, one after the other over one connection."""
    request, took = server.request(body), []
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count + count // 10):
            started = time.perf_counter()
            connection.sendall(request)
            _answer(connection)
            took.append(time.perf_counter() - started)
    return took[count // 10 :]


def _answer(connection: socket.socket) -> None:
    received = connection.recv(1 << 20)
    while (missing := _missing(received)) != 0:
        received += connection.recv(1 << 20 if missing < 0 else missing)


def _missing(received: bytes) -> int:
    """Return how many bytes an answer still lacks; -1 if that isn't known yet."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return -1
    assert head.startswith(b"HTTP/1.1 200"), received
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return int(length) - len(body)


async def _load(server: Server, body: bytes) -> float:
    """Return the requests a second over all connections."""
    request = server.request(body)
    deadline = time.perf_counter() + _SECONDS

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        done = 0
        while time.perf_counter() < deadline:
            writer.write(request)
            received = b""
            while _missing(received) != 0:
                received += await reader.read(1 << 16)
            done += 1
        writer.close()
        await writer.wait_closed()
        return done

    return sum(await asyncio.gather(*(client() for _ in range(_CONNECTIONS)))) / _SECONDS
