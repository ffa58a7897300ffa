"""What the process of a training job is given."""

from __future__ import annotations

from pathlib import Path

from localcloud.sagemaker.container import Layout
from localcloud.sagemaker.training_process import environment

JOB = {"TrainingJobName": "a-job", "TrainingJobArn": "arn", "HyperParameters": {}}


def test_numpy_has_one_thread_unless_the_request_wants_more() -> None:
    layout = Layout(Path("/somewhere"))
    assert environment(JOB, layout, 8)["OPENBLAS_NUM_THREADS"] == "1"
    asked = JOB | {"Environment": {"OPENBLAS_NUM_THREADS": "4"}}
    assert environment(asked, layout, 8)["OPENBLAS_NUM_THREADS"] == "4"
