"""The environment of a training job's process."""

from __future__ import annotations

from pathlib import Path

from localcloud.sagemaker.jobs.container import Layout
from localcloud.sagemaker.jobs.process import environment


def test_numpy_has_one_thread_unless_the_request_sets_more() -> None:
    layout = Layout(Path("/somewhere"))
    assert environment(layout, {}, 8)["OPENBLAS_NUM_THREADS"] == "1"
    assert environment(layout, {"OPENBLAS_NUM_THREADS": "4"}, 8)["OPENBLAS_NUM_THREADS"] == "4"
