"""Faults of definitions that are found before anything runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.emulator.state_machines.definitions import faults

_TASK: dict[str, Any] = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}


def machine(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def found(definition: Any) -> list[str]:
    return [str(fault) for fault in faults(json.dumps(definition))]


@pytest.mark.parametrize(
    "definition",
    [
        machine(A={"Type": "Pass", "Next": "B"}, B={"Type": "Succeed"}),
        machine(A={"Type": "Wait", "Seconds": 1, "End": True}),
        machine(A={**_TASK, "Parameters": {}, "Retry": [{"ErrorEquals": ["X"], "BackoffRate": 1.5}]}),
        {"QueryLanguage": "JSONata", **machine(A={**_TASK, "Arguments": {}, "Output": "{% $states.result %}"})},
        machine(A={**_TASK, "QueryLanguage": "JSONata", "Arguments": {}}),
        machine(
            A={"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "B"}], "Default": "C"},
            B={"Type": "Fail", "Error": "E"},
            C={"Type": "Succeed"},
        ),
        machine(A={**_TASK, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}, B={"Type": "Fail"}),
        machine(A={"Type": "Map", "ItemProcessor": machine(X={"Type": "Succeed"}), "MaxConcurrency": 2, "End": True}),
        machine(A={"Type": "Parallel", "Branches": [machine(X={"Type": "Succeed"})], "End": True}),
    ],
)
def test_a_sound_definition_has_no_faults(definition: dict[str, Any]) -> None:
    assert found(definition) == []


@pytest.mark.parametrize(
    ("definition", "fault"),
    [
        ([], "has to be an object at /"),
        ({"StartAt": "A"}, "States has to be an object with at least one state at /States"),
        ({"States": {"A": {"Type": "Succeed"}}}, "StartAt has to be the name of a state"),
        ({"StartAt": "B", "States": {"A": {"Type": "Succeed"}}}, "Missing 'StartAt' target: B at /StartAt"),
        (machine(A={"Type": "Pause"}), "Type has to be one of"),
        (machine(**{"A" * 81: {"Type": "Succeed"}}), "at most 80 characters"),
        (machine(A={"Type": "Pass"}), "either Next, or End"),
        (machine(A={"Type": "Pass", "Next": "A", "End": True}), "either Next, or End"),
        (machine(A={"Type": "Pass", "Next": "B"}), "Missing 'Next' target: B at /States/A/Next"),
        (machine(A={"Type": "Succeed", "End": True}), "Field is not supported by a Succeed state"),
        (machine(A={"Type": "Task", "End": True}), "has to have a Resource"),
        (machine(A={**_TASK, "Arguments": {}}), "not supported by a Task state in JSONPath at /States/A/Arguments"),
        ({"QueryLanguage": "JSONata", **machine(A={**_TASK, "ResultPath": "$"})}, "in JSONata at /States/A/ResultPath"),
        ({"QueryLanguage": "SQL", **machine(A={"Type": "Succeed"})}, "QueryLanguage has to be one of"),
        (machine(A={"Type": "Wait", "End": True}), "exactly one of Seconds"),
        (machine(A={"Type": "Choice", "Choices": []}), "has to have Choices"),
        (machine(A={"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "A"}]}), "one of And, Or"),
        (machine(A={**_TASK, "Retry": [{"ErrorEquals": []}]}), "ErrorEquals has to be a list"),
        (machine(A={**_TASK, "Retry": [{"ErrorEquals": ["X"], "IntervalSeconds": 0}]}), "IntervalSeconds has to be"),
        (machine(A={**_TASK, "Retry": [{"ErrorEquals": ["X"], "BackoffRate": 0.5}]}), "BackoffRate has to be"),
        (
            machine(A={**_TASK, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["X"]}]}),
            "States.ALL has to be alone, and in the last one at /States/A/Retry[0]",
        ),
        (machine(A={**_TASK, "Catch": [{"ErrorEquals": ["X"], "Next": "B"}]}), "target: B at /States/A/Catch[0]/Next"),
        (machine(A={"Type": "Succeed"}, B={"Type": "Succeed"}), 'State "B" is not reachable. at /States/B'),
        (machine(A={"Type": "Map", "End": True}), "has to have an ItemProcessor"),
        (
            machine(
                A={"Type": "Map", "ItemProcessor": {"StartAt": "Y", "States": {"X": {"Type": "Succeed"}}}, "End": True}
            ),
            "Missing 'StartAt' target: Y at /States/A/ItemProcessor/StartAt",
        ),
        (machine(A={"Type": "Parallel", "Branches": [], "End": True}), "has to have Branches"),
    ],
)
def test_a_fault_is_found_at_its_place(definition: Any, fault: str) -> None:
    assert any(fault in each for each in found(definition)), found(definition)


def test_a_text_that_is_no_json_is_a_fault() -> None:
    assert [fault.code for fault in faults("{")] == ["INVALID_JSON_DESCRIPTION"]
