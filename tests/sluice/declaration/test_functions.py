"""The functions of a pipeline's steps are checked in their source, before anything runs and without an import."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from tests.sluice.conftest import Declare
from tests.sluice.toy import CONTRACT, STEPS, TOY, toy

from sluice.declaration import Input, Pipeline, Step
from sluice.declaration.functions import check_functions
from sluice.errors import DeclarationError


def with_step(reference: str, reads: list[Input]) -> Pipeline:
    """Return the toy with one step after its first, which training reads."""
    step = Step("made", run=reference, reads=tuple(reads))
    return toy(steps=(TOY.steps[0], step), training=replace(TOY.training, rows="made"))


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("def f(conform): ...", [Input("conform")]),
        ("def f(*, conform): ...", [Input("conform")]),
        ("def f(conform, floor=3): ...", [Input("conform")]),
        ("def f(**frames): ...", [Input("conform")]),
        ("def f(conform, conform_before): ...", [Input("conform", look_back=2)]),
        ("def f(conform, conform_after): ...", [Input("conform", look_ahead=2)]),
        ("def f(conform_after, conform_before, conform): ...", [Input("conform", look_back=1, look_ahead=1)]),
        ("def f(weather, conform): ...", [Input("conform"), Input("weather")]),
        ("from other import f", [Input("conform")]),
        ("from other import *", [Input("conform")]),
        ("import functools\nf = functools.partial(print)", [Input("conform")]),
        ("def d(g): return g\n@d\ndef f(anything): ...", [Input("conform")]),
        ("try:\n    def f(conform): ...\nexcept ImportError:\n    pass", [Input("conform")]),
        ("class F:\n    def __call__(self, conform): ...\nf: object = F()", [Input("conform")]),
    ],
)
def test_function_that_may_fit_is_accepted(declare: Declare, code: str, reads: list[Input]) -> None:
    declare("toy", {"contract": CONTRACT, "steps": code})

    check_functions(with_step("steps:f", reads))


@pytest.mark.parametrize(
    ("code", "reference", "reads", "reason"),
    [
        ("", "steps:f", [Input("conform")], "names 'steps:f', but steps.py defines no 'f'; it defines nothing"),
        ("def g(): ...", "steps:f", [Input("conform")], "steps.py defines no 'f'; it defines g"),
        ("def f(conform): ...", "step:f", [Input("conform")], "there is no module 'step' beside its pipeline.py"),
        ("def f(conform): ...", "steps.f", [Input("conform")], "names 'steps.f'; write it as 'module:name'"),
        ("def f(conform: ...", "steps:f", [Input("conform")], r"steps\.py line 1: '\(' was never closed"),
        ("def f(rows): ...", "steps:f", [Input("conform")], r"with \(conform\), but it takes \(rows\); name its param"),
        ("def f(): ...", "steps:f", [Input("conform")], r"with \(conform\), but it takes \(\)"),
        ("def f(conform, /): ...", "steps:f", [Input("conform")], r"with \(conform\), but it takes \(\)"),
        ("def f(conform, x): ...", "steps:f", [Input("conform")], r"but it takes \(conform, x\)"),
        ("def f(conform): ...", "steps:f", [Input("conform", 1)], r"with \(conform, conform_before\), but it takes"),
        (
            "def f(conform): ...",
            "steps:f",
            [Input("conform", 0, 1)],
            r"\(conform, conform_after\), .*_after for a look-ahead",
        ),
        ("def f(conform, conform_after): ...", "steps:f", [Input("conform", 1)], r"takes \(conform, conform_after\)"),
        ("def f(conform, conform_before): ...", "steps:f", [Input("conform")], r"takes \(conform, conform_before\)"),
    ],
)
def test_function_that_can_not_fit_is_named(
    declare: Declare, code: str, reference: str, reads: list[Input], reason: str
) -> None:
    declare("toy", {"contract": CONTRACT, "steps": code})
    pipeline = with_step(reference, reads)

    with pytest.raises(DeclarationError, match=f"^pipeline toy: step 'made' .*{reason}") as refused:
        check_functions(pipeline)

    assert "\n" not in str(refused.value)


def test_missing_contract_is_named(declare: Declare) -> None:
    declare("toy", {"contract": "from pydantic import BaseModel", "steps": STEPS})

    with pytest.raises(DeclarationError, match=r"step 'conform' names 'contract:Reading', but contract\.py defines no"):
        check_functions(TOY)


def test_nothing_of_the_pipeline_is_imported(declare: Declare) -> None:
    declare("toy", {"contract": "raise SystemExit(1)\nclass Reading: ...", "steps": f"raise SystemExit(1)\n{STEPS}"})

    check_functions(TOY)

    assert "pipelines.toy.steps" not in sys.modules


@pytest.mark.parametrize(
    ("code", "fits"),
    [("def f(conform, state): ...", True), ("def f(conform): ...", False), ("def f(conform, before): ...", False)],
)
def test_function_with_a_state_takes_it(declare: Declare, code: str, fits: bool) -> None:
    declare("toy", {"contract": CONTRACT, "steps": code})
    step = Step("made", run="steps:f", reads=(Input("conform"),), state_by="group")
    pipeline = toy(steps=(TOY.steps[0], step), training=replace(TOY.training, rows="made"))

    if fits:
        check_functions(pipeline)
    else:
        with pytest.raises(DeclarationError, match=r"with \(conform, state\), but it takes .* and state for its"):
            check_functions(pipeline)
