"""Every attempt has a result that says what has happened, also if the pipeline is broken or the process ends."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.sluice.compute.conftest import Elsewhere
from tests.sluice.compute.running import DAY, STEP, records, result, run, runtime

from sluice.compute import handler, supervising
from sluice.compute.attempts import find_work
from sluice.compute.contract import Started
from sluice.compute.remote import RemoteRuntime
from sluice.errors import SluiceError, StepOutgrown

RUNTIMES = ["Lambda(memory_mb=512)", "Fargate(vcpu=0.25, memory_gb=0.5)"]
EXITS = """
import os

def doubled(conform):
    os._exit(3)
"""


@pytest.mark.parametrize("declared", RUNTIMES)
def test_pipeline_that_can_not_be_loaded_there_has_a_result(elsewhere: Elsewhere, declared: str) -> None:
    workspace = elsewhere.make(declared)
    there: Any = runtime(workspace)
    assert isinstance(there, RemoteRuntime)
    request = there.request(find_work(workspace, STEP, DAY), "declared")
    (elsewhere.folder / "pipeline.py").write_text("raise ValueError('broken')\n")

    sent = Started(str(request), {**there.send(request), "work": request.work, "attempt": 1})

    with pytest.raises(SluiceError, match="broken"):
        result(workspace, sent)
    assert records(workspace) == ["1-claim.json", "1-result.json"]


@pytest.mark.parametrize("declared", RUNTIMES)
def test_step_that_ends_its_process_has_not_wanted_memory(elsewhere: Elsewhere, declared: str) -> None:
    workspace = elsewhere.make(declared, EXITS)

    with pytest.raises(
        SluiceError, match=rf"over {DAY} on .* ended its process with exit code 3; correct the step"
    ) as failed:
        run(workspace)

    assert not isinstance(failed.value, StepOutgrown)


class Unforkable:
    """Processes that can't be started: an error of the system, which a test can't cause."""

    @staticmethod
    def Pipe(*, duplex: bool) -> Any:  # noqa: N802
        return multiprocessing.Pipe(duplex)

    @staticmethod
    def Process(**_: Any) -> Any:  # noqa: N802
        def start() -> None:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

        return SimpleNamespace(start=start)


def test_attempt_that_can_not_begin_has_a_result(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is claimed already, so who waits for it would wait until its time is up."""
    workspace = elsewhere.make(RUNTIMES[0])
    there: Any = runtime(workspace)
    request = there.request(find_work(workspace, STEP, DAY), "declared")
    monkeypatch.setattr(handler, "Aws", lambda *_: elsewhere.aws)
    monkeypatch.setattr(supervising, "_FORK", Unforkable)
    begun = open_pipes()

    answer = handler.run(request, "request", "group:stream", 60)

    assert (answer["outcome"], answer["message"]) == ("memory", f"{request} found no memory for its process")
    assert records(workspace) == ["1-claim.json", "1-result.json"]
    assert open_pipes() == begun


def open_pipes() -> int:
    links = (Path("/proc/self/fd") / each for each in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(each) and "pipe:" in os.readlink(each) for each in links)
