"""The figures that an operator watches arrive where Airflow sends its metrics: at a collector of the test."""

from __future__ import annotations

import atexit
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from airflow.sdk._shared.observability.metrics import otel_logger
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from opentelemetry import metrics as opentelemetry_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from tests.draining import ALL_LANDED, drain, send, workspace_of

from sluice.declaration.sources import FifoQueue, Stream
from sluice.landing.closing import close_source
from sluice.sending.lanes import Event
from sluice.sources.stream.checkpoints import Checkpoint, advance
from sluice.steps.runner import run_step
from sluice.workspace import Workspace
from sluice_airflow.metrics import flush_metrics, report_conformed, report_source

EVENTS = FifoQueue("events", event_id="id", event_time="event_time")
CONTRACT = """
from pydantic import BaseModel

class Parcel(BaseModel):
    id: str
    event_time: str
    weight: int
"""


class Collector:
    """An OpenTelemetry collector on a port of 127.0.0.1: the newest value of each metric, by name."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        received = self.values

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.update(values_of(ExportMetricsServiceRequest.FromString(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/metrics"

    @contextmanager
    def listening(self) -> Iterator[Collector]:
        thread = Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def read(self, *names: str) -> list[float | None]:
        """Flush, and return the values of these metrics of the pipeline ``parcels``; None where none arrived."""
        provider().force_flush()
        return [self.values.get(f"airflow.sluice.parcels.{name}") for name in names]


def provider() -> MeterProvider:
    """Return the provider through which Airflow sends its metrics."""
    found = opentelemetry_metrics.get_meter_provider()
    assert isinstance(found, MeterProvider), found
    return found


def values_of(request: ExportMetricsServiceRequest) -> dict[str, float]:
    values = {}
    for resource in request.resource_metrics:
        for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                if "histogram" in kind:
                    values[metric.name] = point.count
                else:
                    values[metric.name] = getattr(point, point.WhichOneof("value"))
    return values


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Where Airflow's metrics go, set up as in the process of a task."""
    with Collector().listening() as listening:
        monkeypatch.setenv("AIRFLOW__METRICS__OTEL_ON", "True")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", listening.url)
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
        yield listening
        provider().shutdown()
        atexit.unregister(otel_logger.flush_otel_metrics)  # this process continues without the collector
    monkeypatch.setenv("AIRFLOW__METRICS__OTEL_ON", "False")
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


def body(name: str, **members: object) -> str:
    return json.dumps({"id": name, "event_time": "2013-01-01T07:00:00+00:00", "weight": 1, **members})


def test_landed_waiting_and_quarantined_events_are_reported(parcels: Workspace, collector: Collector) -> None:
    sqs, url, lake = parcels.aws.client("sqs"), parcels.resources.made_for("queues", "events"), parcels.lake
    moment = lake.now()
    bodies = [body("p1"), body("p2"), body("p2"), body("p3", weight="heavy")]
    send(sqs, url, [Event(id=f"m{n}", group="g", event_time=moment, body=each) for n, each in enumerate(bodies)])
    sqs.send_message(
        QueueUrl=parcels.resources.made_for("dead-letter-queues", "events"),
        MessageBody="{}",
        MessageGroupId="g",
        MessageDeduplicationId="metrics",
    )

    report_source(parcels, EVENTS)
    assert collector.read(
        "events.waiting", "events.in_flight", "events.delayed", "events.backlog", "events.dead_letters"
    ) == [4, 0, 0, 4, 1]

    sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    drain(sqs, url, lake, EVENTS, on_flush=flush_metrics("parcels", "events"))
    assert collector.read(
        "events.landed", "events.landed_bytes", "events.parts", "events.redelivered", "events.flush_messages"
    ) == [4, sum(map(len, bodies)), 1, 1, 4]
    (lag, flushes) = collector.read("events.lag_seconds", "events.flush")
    assert lag is not None
    assert 0 < lag < 60
    assert flushes == 1

    report_source(parcels, EVENTS)
    assert collector.read("events.backlog") == [0]

    close_source(lake, parcels.pipeline, EVENTS, ALL_LANDED)
    (folder,) = importlib.import_module("pipelines.parcels").__path__
    (Path(folder) / "contracts.py").write_text(CONTRACT)
    ran = run_step(workspace_of(lake, parcels.pipeline), "conform", "dt=2013-01-01")
    report_conformed(parcels, "conform", ran["partitions"])
    assert collector.read("events.conformed", "events.duplicates", "events.quarantined") == [2, 1, 1]
    assert collector.read("events.control") == [0]


def test_progress_of_a_stream_is_reported(parcels: Workspace, collector: Collector) -> None:
    stream, moment = Stream("stream", event_id="id", event_time="event_time"), parcels.lake.now()
    report_source(parcels, stream)
    assert collector.read("stream.shards", "stream.gaps", "stream.read_lag_seconds") == [0, 0, None]

    still = replace(parcels, lake=replace(parcels.lake, now=lambda: moment))
    advance(still.lake, "stream", Checkpoint(shard="s", read_until=moment.replace(year=moment.year - 1)))
    report_source(still, stream)

    (shards, lag) = collector.read("stream.shards", "stream.read_lag_seconds")
    assert shards == 1
    assert lag in (365 * 86_400, 366 * 86_400)
