"""Every attempt has a result that says what has happened, also if the pipeline is broken or the process ends."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sluice.compute.conftest import Elsewhere
from tests.sluice.compute.running import DAY, STEP, records, result, run, runtime

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
