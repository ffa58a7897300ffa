"""A training job, from its creation to its end, against a bare script that does the same in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.csv
from tests.benchmarks.serving import rows
from tests.conftest import Cloud

from localcloud.testing.api import Api
from localcloud.testing.transcripts import Case, Channel, File

ROOT = Path(__file__).resolve().parents[2]
_ROUNDS = 3
_ROWS = 245_000
_START_SECONDS = 2.0  # that a job may take beside training: its process, S3, the archive
_PARAMETERS = {"objective": "binary:logistic", "max_depth": "6", "nthread": str(os.cpu_count() or 1)}
_BOOSTING_ROUNDS = "100"


def train_ratio(cloud: Cloud, folder: Path) -> float:
    """Return a job's wall time, less what it may take to start, divided by that of the script; run by run in turns."""
    path = folder / "train.csv"
    table = pa.table({str(number): column for number, column in enumerate(rows(_ROWS).T)})
    pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(include_header=False))
    api = Api(cloud, "bench-training")
    return median(
        (_job(api, f"bench-training-{number}", path) - _START_SECONDS) / _script(path) for number in range(_ROUNDS)
    )


def _job(api: Api, name: str, path: Path) -> float:
    channel = Channel("train", "text/csv", "File", "FullyReplicated", (File(path.name, path),))
    case = Case(name, False, {**_PARAMETERS, "num_round": _BOOSTING_ROUNDS}, (channel,), {}, ())
    api.upload(name, case)
    started = time.perf_counter()
    job = api.train(name, case)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    return time.perf_counter() - started


def _script(path: Path) -> float:
    started = time.perf_counter()
    subprocess.run(
        [
            *(str(ROOT / ".venv-cloud/bin/python"), "-m", "tests.benchmarks.xgboost_bare"),
            *(str(path), json.dumps(_PARAMETERS), _BOOSTING_ROUNDS),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        timeout=600,
    )
    return time.perf_counter() - started
