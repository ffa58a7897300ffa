"""What Airflow's parsing of the DAG files costs, beside as many files that import only the provider's operators."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ROUNDS = 5
_SECONDS = 120
# What a project would import that does the same by the provider's classes alone.
_PLAIN = """
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerEndpointOperator, SageMakerTrainingOperator
from airflow.providers.amazon.aws.operators.sns import SnsPublishOperator
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.amazon.aws.sensors.sqs import SqsSensor
from airflow.sdk import DAG

with DAG("plain_{number}", schedule=None):
    SnsPublishOperator(task_id="announce", target_arn="arn:aws:sns:us-east-1:000000000000:t", message="done")
"""
_PARSE = """
import sys, time
from airflow.dag_processing.dagbag import DagBag

begun = time.perf_counter()
bag = DagBag(sys.argv[1])
seconds = time.perf_counter() - begun
assert bag.dags and not bag.import_errors, bag.import_errors
print(seconds)
"""


def parse_ratio() -> float:
    """Return the median seconds of a DagBag of ``dags/`` divided by those of plain files, each in a fresh process."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        plain = Path(folder) / "dags"
        plain.mkdir()
        for number in range(len(list((ROOT / "dags").glob("*.py")))):
            (plain / f"plain_{number}.py").write_text(_PLAIN.format(number=number))
        environment = {**os.environ, "AIRFLOW_HOME": folder, "PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}"}
        taken = [(_seconds(ROOT / "dags", environment), _seconds(plain, environment)) for _ in range(_ROUNDS)]
    ours, theirs = (statistics.median(each) for each in zip(*taken, strict=True))
    return ours / theirs


def _seconds(dags: Path, environment: dict[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(dags)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])
