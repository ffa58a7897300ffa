"""What has changed of a step's code is named: the member, the package, the module, and what is defined in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest
from tests.draining import workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import body_of, keys_below, manifest_json, put_raw
from tests.sluice.toy import CONTRACT, DROPS, EVENTS, message, reading, toy

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.lake.store import Lake
from sluice.steps import code
from sluice.steps.code import code_fingerprint, code_of
from sluice.steps.code_record import CodeRecord, changes, describe_code
from sluice.steps.runner import run_step

STEP = Step("doubled", run="steps:doubled", reads=(Input("conform"),))
MODULES: Mapping[str, str] = {
    "contract": CONTRACT,
    "steps": "from pipelines.toy.rates import rate\ndef doubled(conform):\n    return conform\n",
    "rates": "import math\n\nRATE = 2\n\ndef rate():\n    return RATE * math.pi\n",
}


def record(declare: Declare, modules: Mapping[str, str], step: Step = STEP, **changed: Any) -> CodeRecord:
    declare("toy", modules)
    return describe_code(code_of(toy(steps=(toy().step("conform"), step), training=None, deployment=None), step))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"rates": MODULES["rates"].replace("RATE = 2", "RATE = 3")}, "RATE in pipelines.toy.rates"),
        ({"rates": MODULES["rates"].replace("math.pi", "math.e")}, "rate in pipelines.toy.rates"),
        (
            {"rates": MODULES["rates"].replace("math", "cmath").replace("RATE = 2", "TEMPO = RATE = 2")},
            "RATE, TEMPO, cmath, math, rate in pipelines.toy.rates",
        ),
        ({"rates": "# a comment\n" + MODULES["rates"]}, "pipelines.toy.rates, outside of its definitions"),
        ({"rates": MODULES["rates"] + "print(rate())\n"}, "pipelines.toy.rates, outside of its definitions"),
        ({"__init__": "A = 1\n"}, "A in pipelines.toy"),
    ],
)
def test_what_has_changed_in_a_module_is_named(declare: Declare, changed: dict[str, str], named: str) -> None:
    before, now = record(declare, MODULES), record(declare, {**MODULES, **changed})

    assert [*changes(before, now)] == [named]
    assert [*changes(now, now)] == []


def test_modules_that_come_and_go_are_named(declare: Declare) -> None:
    before = record(declare, MODULES)
    now = record(
        declare, {**MODULES, "steps": MODULES["steps"].replace("toy.rates", "toy.prices"), "prices": MODULES["rates"]}
    )

    assert [*changes(before, now)] == [
        "pipelines.toy.prices is new",
        "pipelines.toy.rates is gone",
        "rate in pipelines.toy.steps",
    ]


def test_members_of_the_declaration_and_versions_are_named(declare: Declare, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = replace(STEP, packages=("pandas", "numpy"))
    before = record(declare, MODULES, packaged)
    monkeypatch.setattr(code, "version", lambda name: "99.1" if name == "numpy" else version(name))
    looks_back = replace(STEP, reads=(Input("conform", look_back=1),), packages=("numpy",))

    now = record(declare, MODULES, looks_back)

    assert [*changes(before, now)] == [
        "reads of its declaration",
        f"numpy 99.1, was {version('numpy')}",
        f"pandas left out, was {version('pandas')}",
    ]


def test_how_a_source_reads_times_is_named(declare: Declare) -> None:
    declare("toy", MODULES)
    step = toy().step("conform")
    one, other = (
        describe_code(code_of(toy(sources=(replace(EVENTS, event_time_zone=zone), DROPS)), step))
        for zone in (None, "Europe/Berlin")
    )

    assert [*changes(one, other)] == ["event_time_zone of its declaration"]


def test_code_of_a_run_is_kept_once_whatever_it_makes(lake: Lake, toy_pipeline: Pipeline) -> None:
    """The object is there before the first manifest, and has the name that the manifests have."""
    for day in ("2013-01-01", "2013-01-02", "2013-01-03"):
        put_raw(lake, EVENTS, day, [message(reading(day, f"{day}T07:00:00+00:00"))])
    workspace = workspace_of(lake, toy_pipeline)

    run_step(workspace, "conform", "dt=2013-01-01..dt=2013-01-02")
    (key,) = keys_below(lake, "toy/code/")
    first = body_of(lake, key)
    run_step(workspace, "conform", "dt=2013-01-03")

    assert keys_below(lake, "toy/code/") == [key]
    assert body_of(lake, key) == first
    fingerprint = manifest_json(lake, "conform", "dt=2013-01-03")["code"]
    assert key == f"toy/code/{fingerprint}.json"
    assert fingerprint == code_fingerprint(toy_pipeline, toy_pipeline.step("conform"))
    kept = CodeRecord.model_validate_json(first)
    assert kept.declaration["contract"] == "'contract:Reading'"
    assert {"pipelines.toy.contract", "sluice.steps.conform"} <= kept.modules.keys()
    assert kept.modules["pipelines.toy.contract"].definitions.keys() == {
        "datetime",
        "BaseModel",
        "ConfigDict",
        "Reading",
    }
