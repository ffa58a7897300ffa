"""What `sluice check` finds before anything runs: code that can't be imported, and a lake of another grain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.draining import workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import put_raw
from tests.sluice.toy import CONTRACT, EVENTS, MODULES, STEPS, TOY, message

from sluice.checking import check_lake, check_pipeline
from sluice.errors import DeclarationError
from sluice.lake.store import Lake

DECLARED = "from tests.sluice.toy import TOY as PIPELINE\n"


def test_valid_code_passes(declare: Declare) -> None:
    declare("toy", {**MODULES, "pipeline": DECLARED})

    assert check_pipeline("toy") == TOY


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"contract": "Reading = dict"}, "step 'conform' names 'contract:Reading', which is no pydantic model"),
        (
            {"contract": f"{CONTRACT}\nraise OSError('no licence')"},
            "'contract:Reading' can't be imported: OSError: no",
        ),
        (
            {"contract": CONTRACT.replace("value: int", "value: object")},
            "step 'conform': contract Reading: member 'value'",
        ),
        ({"steps": STEPS.replace("def doubled", "doubled = 3\ndef other")}, "'steps:doubled', which can't be called"),
        ({"steps": STEPS.replace("import pandas", "import pandaz")}, "No module named 'pandaz'"),
    ],
)
def test_unusable_code_is_named_in_one_line(declare: Declare, modules: dict[str, str], message: str) -> None:
    declare("toy", {**MODULES, "pipeline": DECLARED, **modules})

    with pytest.raises(DeclarationError, match=message) as refused:
        check_pipeline("toy")

    assert str(refused.value).startswith("pipeline toy: ")
    assert "\n" not in str(refused.value)


def test_changed_grain_of_an_existing_lake_is_named(lake: Lake) -> None:
    put_raw(lake, EVENTS, "2013-01-01", [message("{}")])
    check_lake(workspace_of(lake, TOY))

    with pytest.raises(
        DeclarationError,
        match=r"^pipeline toy: every='hour', but .*/toy/raw/events/ has partitions of another length, such as "
        r"dt=2013-01-01; keep every='day', or give the pipeline another name",
    ):
        check_lake(workspace_of(lake, replace(TOY, every="hour")))
