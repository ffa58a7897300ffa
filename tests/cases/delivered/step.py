"""Runs step functions whose frames can't be stored, and compares how they are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sluice.declaration.steps import Conform, Input, Step
from sluice.errors import SluiceError
from sluice.lake.store import Lake
from sluice.steps.runner import run_step
from tests.cases.case import Case
from tests.draining import workspace_of
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import CONTRACT, EVENTS, TOY


def check(case: Case, request: pytest.FixtureRequest) -> None:
    lake: Lake = request.getfixturevalue("lake")
    partition = case.given["partition"]
    code = case.read(case.given["step"]["file"]).decode()
    request.getfixturevalue("declare")("toy", {"contract": CONTRACT, "steps": code})
    put_raw(lake, EVENTS, partition.removeprefix("dt="))
    functions = case.given["step"]["functions"]
    steps = [Step(name, run=f"steps:{name}", reads=(Input("readings"),)) for name in functions]
    pipeline = replace(
        TOY, steps=(Conform("readings", "events", "contract:Reading"), *steps), training=None, deployment=None
    )
    workspace = workspace_of(lake, pipeline)
    run_step(workspace, "readings", partition)

    for refused in case.right["refused"]:
        with pytest.raises(SluiceError) as error:
            run_step(workspace, refused["function"], partition)

        message = str(error.value)
        named = [repr(refused["function"]) if word == "the step" else word for word in refused["must_name"]]
        assert [word for word in named if word not in message] == []
        assert "\n" not in message
