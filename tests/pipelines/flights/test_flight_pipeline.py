"""The declaration matches what the steps make, and parsing it costs nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tests.draining import without_events

from pipelines.flights.airports import DAY, OVERDUE, RECENT, SAME_FLIGHT
from pipelines.flights.contracts import FlightEvent
from pipelines.flights.events import NOTICE
from pipelines.flights.pipeline import PIPELINE
from pipelines.flights.steps import AIRCRAFT_WINDOW, FRESH
from pipelines.flights.weather import MARKER, PREFIX
from sluice.declaration.loading import load_pipeline, resolve
from sluice.declaration.steps import Step

ROOT = Path(__file__).resolve().parents[3]


def test_pipeline_is_found_by_its_name() -> None:
    assert load_pipeline("flights") is PIPELINE


def test_every_step_function_exists_and_takes_what_its_step_reads() -> None:
    steps = [step for step in PIPELINE.steps if isinstance(step, Step)]
    for step in steps:
        wanted = [read.dataset for read in step.reads]
        wanted += [f"{read.dataset}_before" for read in step.reads if read.look_back]
        assert sorted(inspect.signature(resolve(PIPELINE, step.run)).parameters) == sorted(wanted)
    assert [step.name for step in steps] == ["enrich", "features"]
    assert resolve(PIPELINE, "contracts:FlightEvent") is FlightEvent


def test_weather_is_read_where_the_producer_drops_it() -> None:
    (drops,) = without_events(PIPELINE)
    assert (drops.prefix, drops.complete.name) == (PREFIX, MARKER)


def test_look_back_covers_the_windows() -> None:
    enrich, features = PIPELINE.steps[1:]
    longest = timedelta(hours=34, minutes=42)  # from announcement to arrival
    assert timedelta(days=enrich.reads[1].look_back) >= FRESH
    longest_way = timedelta(hours=12, minutes=18)  # from departure to arrival
    windows = (AIRCRAFT_WINDOW, RECENT, OVERDUE + NOTICE, DAY + longest_way, SAME_FLIGHT)
    assert longest + max(windows) <= timedelta(days=features.reads[0].look_back)


def test_training_is_bounded_to_its_threads_and_repeatable() -> None:
    hyperparameters = PIPELINE.training.candidates[0].hyperparameters
    assert hyperparameters["nthread"] == 2
    assert "seed" in hyperparameters
    assert PIPELINE.training.gate.at_least >= 0.6


def test_declaration_imports_nothing_heavy() -> None:
    code = (
        "import sys, pipelines.flights.pipeline;"
        "print(sorted({'pandas', 'numpy', 'pyarrow', 'boto3', 'pydantic', 'xgboost'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "include")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "[]\n"
