"""What SageMaker is asked, and what its refusals say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from botocore.exceptions import ClientError

from sluice.aws.clients import Aws
from sluice.aws.failures import explain
from sluice.dataset.snapshot import make_snapshot
from sluice.training.jobs import list_jobs
from sluice.training.launching import launch_training
from sluice.workspace import Workspace
from tests.cases.case import Case
from tests.plugins.faults import refused
from tests.sluice.lake_contents import put_rows

_ROOT = Path(__file__).resolve().parents[3]


def check(case: Case, request: pytest.FixtureRequest) -> None:
    checks: Mapping[str, Callable[[Case, pytest.FixtureRequest], None]] = {
        "quick-start": check_quick_start,
        "job-api/01-quota-of-zero": check_quota,
        "job-api/02-five-thousand-foreign-jobs": check_foreign_jobs,
    }
    checks[case.id if case.id in checks else case.kind](case, request)


def check_quick_start(case: Case, _: pytest.FixtureRequest) -> None:
    readme = (_ROOT / case.given["file"]).read_text()
    (line,) = (line for line in readme.splitlines() if case.right["says"][0].lower() in line.lower())
    assert all(words.lower() in line.lower() for words in case.right["says"])


def check_quota(case: Case, request: pytest.FixtureRequest) -> None:
    """A launch is refused: it is tried once, and the message says what to do."""
    workspace, (answer,) = with_snapshot(request), case.given["answers"]
    tries: list[str] = []

    def refuse(**_: Any) -> Any:
        tries.append(answer["call"])
        response = refused(answer["code"], answer["message"], answer["status"])
        return response, {"Error": {"Code": answer["code"], "Message": answer["message"]}}

    workspace.aws.client("sagemaker").meta.events.register(f"before-call.sagemaker.{answer['call']}", refuse)
    candidate = workspace.pipeline.require_training().candidates[0]
    with pytest.raises(ClientError) as failed:
        launch_training(workspace, candidate, make_snapshot(workspace).fingerprint)

    assert len(tries) == case.right["tries"]
    assert all(word in explain(failed.value) for word in case.right["must_name"])


def check_foreign_jobs(case: Case, request: pytest.FixtureRequest) -> None:
    """The service filters by the name, so jobs of others cost nothing."""
    workspace: Workspace = request.getfixturevalue("workspace")
    asked: list[Mapping[str, Any]] = []
    events = workspace.aws.client("sagemaker").meta.events
    events.register("provide-client-params.sagemaker.ListTrainingJobs", lambda params, **_: asked.append(dict(params)))

    list_jobs(workspace)

    assert 1 <= len(asked) <= case.right["list_calls_at_most"]
    assert all(params[case.right["filter"]] for params in asked)


def with_snapshot(request: pytest.FixtureRequest) -> Workspace:
    """Return the toy with rows to train on, and with clients of its own."""
    workspace: Workspace = request.getfixturevalue("workspace")
    aws: Aws = request.getfixturevalue("aws")
    rows = pd.DataFrame({"late": [0, 1] * 20, "value": range(40), "total": range(40)})
    for day in range(1, 9):
        put_rows(workspace.lake, "running", f"2013-01-{day:02d}", rows)
    return replace(workspace, aws=Aws(aws.session, aws.endpoint))
