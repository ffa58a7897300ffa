"""What `sluice check` finds before anything runs: code that can't be imported."""

from __future__ import annotations

import pytest
from tests.sluice.conftest import Declare
from tests.sluice.toy import CONTRACT, MODULES, STEPS, TOY

from sluice.checking import check_pipeline
from sluice.errors import DeclarationError

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
