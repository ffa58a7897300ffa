"""``make bench``: every figure of the table, against its limit, into ``.sluice/bench.json``.

A figure is a ratio of two runs side by side on this machine, or a count: so it is the same on a slow machine as on
a fast one, if nothing else runs on it. What a step takes longer elsewhere is in seconds, because it does not grow with
the step. A miss is shown, and does not fail the command.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from tests.benchmarks import (
    conforming,
    control_plane,
    cycling,
    elsewhere,
    landing,
    linear,
    parsing,
    scaling,
    serving,
    transforming,
    waiting,
    xgboost_training,
)
from tests.conftest import CLOUD_PYTHON, Cloud, running_cloud

RESULTS = Path(__file__).resolve().parents[2] / ".sluice" / "bench.json"


@dataclass(frozen=True)
class Bound:
    """What a figure may be."""

    kind: Literal["at most", "at least"]
    value: float

    def holds(self, figure: float) -> bool:
        return figure <= self.value if self.kind == "at most" else figure >= self.value


BOUNDS: Mapping[str, Bound] = {
    "drain_cpu_ratio": Bound("at most", 1.3),
    "drain_envelope_ratio": Bound("at most", 1.15),
    "drain_latency_ratio": Bound("at least", 0.95),
    "drain_sqs_calls_per_1000": Bound("at most", 210),
    "drain_s3_calls_per_1000": Bound("at most", 5),
    "drain_memory_ratio": Bound("at most", 1.1),
    "drain_hot_group_ratio": Bound("at least", 0.8),
    "conform_rows_per_s": Bound("at least", 1_500_000),
    "conform_duckdb_ratio": Bound("at least", 0.8),
    "transform_ratio": Bound("at most", 2),
    "transform_memory_ratio": Bound("at most", 1.2),
    "noop_year_s": Bound("at most", 5),
    "late_partitions": Bound("at most", 4),
    "cycle_calls_at_10": Bound("at most", 12),
    "cycle_calls_at_10000": Bound("at most", 12),
    "sparse_history_s": Bound("at most", 300),
    "sparse_increment_s": Bound("at most", 15),
    "train_ratio": Bound("at most", 1.1),
    "linear_ratio": Bound("at most", 1.5),
    "invoke_ratio": Bound("at most", 2.0),
    "invoke_rows_ratio": Bound("at least", 0.7),
    "invoke_load_ratio": Bound("at least", 0.7),
    "describe_p95_ms": Bound("at most", 100),
    "parse_ratio": Bound("at most", 1.2),
    "look_cpu_ms": Bound("at most", 5),
    "look_age_ratio": Bound("at most", 2),
    "celery_task_ratio": Bound("at most", 1.5),
    "scale_ratio_4": Bound("at least", 3.2),
    "lambda_overhead_s": Bound("at most", 1.0),
    "fargate_overhead_s": Bound("at most", 3.0),
}


def figures(cloud: Cloud) -> Iterator[tuple[str, float]]:
    yield "parse_ratio", parsing.parse_ratio()
    bench = landing.Bench(cloud, 200_000)
    yield "drain_cpu_ratio", landing.cpu_ratio(bench)
    yield "drain_envelope_ratio", landing.envelope_ratio(bench)
    yield "drain_latency_ratio", landing.latency_ratio(bench)
    for kind, messages, queued in (("drain", 20_000, 25_000), ("sensor", 2_000, 2_000), ("single", 500, 500)):
        calls = landing.calls_per_1000(bench, kind, messages, queued)
        yield f"{kind}_sqs_calls_per_1000", calls["sqs"]
        yield f"{kind}_s3_calls_per_1000", calls["s3"]
        yield f"{kind}_dollars_per_million", landing.dollars_per_million(calls)
    yield "drain_hot_group_ratio", landing.hot_group_ratio(bench)
    yield "drain_hot_group_latency_ratio", landing.late_hot_group_ratio(bench)
    yield "drain_memory_ratio", landing.memory_ratio(bench)
    yield from conforming.figures()
    yield from transforming.figures(cloud)
    yield from cycling.figures(cloud)
    yield from _sagemaker_figures(cloud)
    yield from scaling.figures()


def _sagemaker_figures(cloud: Cloud) -> Iterator[tuple[str, float]]:
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        yield "train_ratio", xgboost_training.train_ratio(cloud, Path(folder))
        with serving.bench(cloud, Path(folder)) as bench:
            yield "invoke_ratio", bench.seconds_of_one_row()
            yield "invoke_rows_ratio", bench.rate_of_rows()
            yield "invoke_load_ratio", bench.rate_of_load()
    yield "describe_p95_ms", control_plane.describe_p95_ms(cloud)
    yield "linear_ratio", linear.ratio()
    yield from _wait_figures(cloud)
    yield from _elsewhere_figures()


def _wait_figures(cloud: Cloud) -> Iterator[tuple[str, float]]:
    with waiting.bench(cloud) as bench:
        by_kind = bench.look_cpu_ms()
        yield "look_cpu_ms", max(by_kind.values())
        yield from ((f"look_cpu_ms_{kind}", figure) for kind, figure in by_kind.items())
        age = bench.look_age()
        yield "look_age_ratio", age["ratio"]
        yield "look_blocked_seconds", age["blocked_seconds"]


def _elsewhere_figures() -> Iterator[tuple[str, float]]:
    with elsewhere.bench() as bench:
        seconds = bench.seconds()
    yield "worker_step_s", seconds["worker"]
    yield "lambda_overhead_s", seconds["lambda"] - seconds["worker"]
    yield "fargate_overhead_s", seconds["fargate"] - seconds["worker"]


def main() -> None:
    console, found = Console(), dict[str, float]()
    with (
        tempfile.TemporaryDirectory(prefix="sluice-bench-") as state,
        running_cloud(Path(state), CLOUD_PYTHON) as cloud,
    ):
        for key, figure in figures(cloud):
            found[key] = round(figure, 3)
            console.print(key, found[key])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    table = Table("figure", "measured", "bound", "")
    for key, figure in found.items():
        bound = BOUNDS.get(key)
        verdict = (f"{bound.kind} {bound.value:g}", "" if bound.holds(figure) else "missed") if bound else ("", "")
        table.add_row(key, f"{figure:g}", *verdict)
    console.print(table)


if __name__ == "__main__":
    main()
