"""The running of jobs of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from localcloud.sagemaker.api.store import DocumentKind, Store
from localcloud.sagemaker.jobs.container import Layout
from localcloud.sagemaker.jobs.cores import Cores
from localcloud.sagemaker.jobs.runner import JobRunner, Signals
from localcloud.testing.waiting import wait_for

Document = dict[str, Any]
JOB = DocumentKind[Document]("job")


class Kind:
    """Jobs that end as soon as they run; `cores_of` has those that ran."""

    name, status_member = JOB, "Status"

    def __init__(self) -> None:
        self.cores_of: dict[str, int] = {}

    def cores(self, job: Document, total: int) -> int:
        return int(job["Cores"])

    def run(self, job: Document, layout: Layout, signals: Signals, cores: int) -> str:
        self.cores_of[job["Name"]] = cores
        return "Completed"

    def end(self, job: Document, outcome: str, now: float) -> None:
        job["Status"] = outcome

    def fail(self, job: Document, reason: str, now: float) -> None:
        job["Status"] = f"Failed: {reason}"


def ended(tmp_path: Path, kind: Kind, status: str, cores: int = 1) -> str:
    """Return the status that a job ends with, if it has this one when it is submitted."""
    store = Store(tmp_path / "store.sqlite")
    store.insert(JOB, "a", {"Name": "a", "Status": status, "Cores": cores})
    JobRunner(store, kind, tmp_path / "jobs", Cores(2)).submit("a")
    wait_for(lambda: store.get(JOB, "a")["Status"] not in ("InProgress", "Stopping"))
    last: str = store.get(JOB, "a")["Status"]
    return last


def test_a_job_that_was_stopped_before_it_was_submitted_never_runs(tmp_path: Path) -> None:
    kind = Kind()
    assert ended(tmp_path, kind, "Stopping") == "Stopped"
    assert kind.cores_of == {}


def test_a_job_runs_on_the_cores_that_it_has(tmp_path: Path) -> None:
    kind = Kind()
    assert ended(tmp_path, kind, "InProgress", cores=64) == "Completed"
    assert kind.cores_of == {"a": 2}, "no more than there are"
