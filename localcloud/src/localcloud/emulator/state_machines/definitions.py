"""What is wrong with a definition of a state machine, by the structural rules of the Amazon States Language.

Expressions are not evaluated: a wrong one fails its execution. No Python library that is kept checks JSONata states.

Source: https://states-language.net/spec.html; the codes are those of ValidateStateMachineDefinition.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

_SCHEMA, _TARGET = "SCHEMA_VALIDATION_FAILED", "MISSING_TRANSITION_TARGET"
_LONGEST_NAME = 80  # characters
_LANGUAGES = ("JSONPath", "JSONata")
_ALL = "States.ALL"

_COMMON = {"Type", "Comment", "QueryLanguage"}
_PATHS = {"InputPath", "OutputPath"}
_RESULTS = {"ResultPath", "ResultSelector"}
_TRANSITIONS = {"Next", "End"}
_ERRORS = {"Retry", "Catch"}
# Fields by type: those of both languages, of JSONPath only, and of JSONata only.
_FIELDS: dict[str, tuple[set[str], set[str], set[str]]] = {
    "Pass": (_TRANSITIONS | {"Assign"}, _PATHS | {"Result", "ResultPath", "Parameters"}, {"Output"}),
    "Task": (
        _TRANSITIONS | _ERRORS | {"Resource", "Assign", "TimeoutSeconds", "HeartbeatSeconds", "Credentials"},
        _PATHS | _RESULTS | {"Parameters", "TimeoutSecondsPath", "HeartbeatSecondsPath"},
        {"Arguments", "Output"},
    ),
    "Choice": ({"Choices", "Default", "Assign"}, _PATHS, {"Output"}),
    "Wait": (_TRANSITIONS | {"Seconds", "Timestamp", "Assign"}, _PATHS | {"SecondsPath", "TimestampPath"}, {"Output"}),
    "Succeed": (set(), _PATHS, {"Output"}),
    "Fail": ({"Error", "Cause"}, {"ErrorPath", "CausePath"}, set()),
    "Parallel": (
        _TRANSITIONS | _ERRORS | {"Branches", "Assign"},
        _PATHS | _RESULTS | {"Parameters"},
        {"Arguments", "Output"},
    ),
    "Map": (
        _TRANSITIONS
        | _ERRORS
        | {"ItemProcessor", "Iterator", "ItemSelector", "ItemReader", "ItemBatcher", "ResultWriter", "Assign", "Label"}
        | {"MaxConcurrency", "ToleratedFailureCount", "ToleratedFailurePercentage"},
        _PATHS
        | _RESULTS
        | {"ItemsPath", "Parameters", "MaxConcurrencyPath"}
        | {"ToleratedFailureCountPath", "ToleratedFailurePercentagePath"},
        {"Items", "Output"},
    ),
}
_WAITS = ("Seconds", "Timestamp", "SecondsPath", "TimestampPath")
_OPERATORS = ("And", "Or", "Not", "Variable")


@dataclass(frozen=True)
class Fault:
    """A fault of a definition: its code, what is wrong, and where, as a JSON pointer."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location}"


def faults(definition: str) -> list[Fault]:
    """Return what is wrong with a definition; an empty list if nothing is.

    Args:
        definition: The definition as JSON.
    """
    try:
        machine = json.loads(definition)
    except (ValueError, RecursionError) as error:
        return [Fault("INVALID_JSON_DESCRIPTION", str(error), "/")]
    if not isinstance(machine, dict):
        return [Fault(_SCHEMA, "The definition has to be an object", "/")]
    return list(_of_machine(machine, "", "JSONPath"))


def _of_machine(machine: dict[str, Any], where: str, language: str) -> Iterator[Fault]:
    language = machine.get("QueryLanguage", language)
    if language not in _LANGUAGES:
        yield Fault(_SCHEMA, f"QueryLanguage has to be one of {', '.join(_LANGUAGES)}", f"{where}/QueryLanguage")
    states, start = machine.get("States"), machine.get("StartAt")
    if not isinstance(states, dict) or not states:
        yield Fault(_SCHEMA, "States has to be an object with at least one state", f"{where}/States")
        return
    if not isinstance(start, str):
        yield Fault(_SCHEMA, "StartAt has to be the name of a state", f"{where}/StartAt")
        return
    if start not in states:
        yield Fault(_TARGET, f"Missing 'StartAt' target: {start}", f"{where}/StartAt")
    for name, state in states.items():
        yield from _of_state(name, state, f"{where}/States/{name}", language, states)
    for name in states.keys() - _reachable(start, states):
        yield Fault(_TARGET, f'State "{name}" is not reachable.', f"{where}/States/{name}")


def _of_state(name: str, state: Any, where: str, language: str, states: Collection[str]) -> Iterator[Fault]:
    if not isinstance(state, dict) or state.get("Type") not in _FIELDS:
        yield Fault(_SCHEMA, f"Type has to be one of {', '.join(_FIELDS)}", where)
        return
    if len(name) > _LONGEST_NAME:
        yield Fault(_SCHEMA, f"The name of a state has at most {_LONGEST_NAME} characters", where)
    language = state.get("QueryLanguage", language)
    both, of_path, of_jsonata = _FIELDS[state["Type"]]
    allowed = _COMMON | both | (of_jsonata if language == "JSONata" else of_path)
    for field in state.keys() - allowed:
        yield Fault(_SCHEMA, f"Field is not supported by a {state['Type']} state in {language}", f"{where}/{field}")
    yield from _of_transitions(state, where, states)
    yield from _OF_TYPE.get(state["Type"], _nothing)(state, where, language, states)
    for place, retrier in enumerate(state.get("Retry", ())):
        yield from _of_retrier(retrier, f"{where}/Retry[{place}]")
    for field in _ERRORS & state.keys():
        yield from _of_errors(state[field], f"{where}/{field}")
    for place, catcher in enumerate(state.get("Catch", ())):
        yield from _of_target(catcher.get("Next"), f"{where}/Catch[{place}]", states)


def _of_transitions(state: dict[str, Any], where: str, states: Collection[str]) -> Iterator[Fault]:
    if "Next" not in _FIELDS[state["Type"]][0]:
        return
    if ("Next" in state) == (state.get("End") is True):
        yield Fault(_SCHEMA, "A state has to have either Next, or End with the value true", where)
    elif "Next" in state:
        yield from _of_target(state["Next"], where, states)


def _of_target(target: Any, where: str, states: Collection[str], field: str = "Next") -> Iterator[Fault]:
    if not isinstance(target, str) or target not in states:
        yield Fault(_TARGET, f"Missing '{field}' target: {target}", f"{where}/{field}")


def _of_task(state: dict[str, Any], where: str, _language: str, _states: Collection[str]) -> Iterator[Fault]:
    if not isinstance(state.get("Resource"), str):
        yield Fault(_SCHEMA, "A Task state has to have a Resource", f"{where}/Resource")


def _of_wait(state: dict[str, Any], where: str, _language: str, _states: Collection[str]) -> Iterator[Fault]:
    if sum(field in state for field in _WAITS) != 1:
        yield Fault(_SCHEMA, f"A Wait state has to have exactly one of {', '.join(_WAITS)}", where)


def _of_choice(state: dict[str, Any], where: str, language: str, states: Collection[str]) -> Iterator[Fault]:
    choices = state.get("Choices")
    if not isinstance(choices, list) or not choices:
        yield Fault(_SCHEMA, "A Choice state has to have Choices, a list with at least one", f"{where}/Choices")
        return
    for place, rule in enumerate(choices):
        at = f"{where}/Choices[{place}]"
        if language == "JSONata" and "Condition" not in rule:
            yield Fault(_SCHEMA, "A choice in JSONata has to have a Condition", at)
        if language == "JSONPath" and not any(operator in rule for operator in _OPERATORS):
            yield Fault(_SCHEMA, f"A choice in JSONPath has to have one of {', '.join(_OPERATORS)}", at)
        yield from _of_target(rule.get("Next"), at, states)
    if "Default" in state:
        yield from _of_target(state["Default"], where, states, "Default")


def _of_parallel(state: dict[str, Any], where: str, language: str, _states: Collection[str]) -> Iterator[Fault]:
    branches = state.get("Branches")
    if not isinstance(branches, list) or not branches:
        yield Fault(_SCHEMA, "A Parallel state has to have Branches, a list with at least one", f"{where}/Branches")
        return
    for place, branch in enumerate(branches):
        yield from _of_machine(branch, f"{where}/Branches[{place}]", language)


def _of_map(state: dict[str, Any], where: str, language: str, _states: Collection[str]) -> Iterator[Fault]:
    field = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
    if not isinstance(state.get(field), dict):
        yield Fault(_SCHEMA, "A Map state has to have an ItemProcessor", where)
        return
    yield from _of_machine(state[field], f"{where}/{field}", language)


def _nothing(_state: dict[str, Any], _where: str, _language: str, _states: Collection[str]) -> Iterator[Fault]:
    return iter(())


_OF_TYPE = {"Task": _of_task, "Wait": _of_wait, "Choice": _of_choice, "Parallel": _of_parallel, "Map": _of_map}


def _of_errors(handlers: Any, where: str) -> Iterator[Fault]:
    for place, handler in enumerate(handlers):
        names = handler.get("ErrorEquals")
        at = f"{where}[{place}]/ErrorEquals"
        if not isinstance(names, list) or not names:
            yield Fault(_SCHEMA, "ErrorEquals has to be a list with at least one name", at)
        elif _ALL in names and (len(names) > 1 or place < len(handlers) - 1):
            yield Fault(_SCHEMA, f"{_ALL} has to be alone, and in the last one", at)


def _of_retrier(retrier: dict[str, Any], where: str) -> Iterator[Fault]:
    for field, least in (("IntervalSeconds", 1), ("MaxAttempts", 0), ("BackoffRate", 1), ("MaxDelaySeconds", 1)):
        value = retrier.get(field, least)
        is_number = isinstance(value, int | float if field == "BackoffRate" else int) and not isinstance(value, bool)
        if not is_number or value < least:
            yield Fault(_SCHEMA, f"{field} has to be a number, at least {least}", f"{where}/{field}")


def _reachable(start: str, states: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        state = states.get(name)
        if name in found or not isinstance(state, dict):
            continue
        found.add(name)
        targets = [state.get("Next"), state.get("Default")]
        targets += [each.get("Next") for field in ("Choices", "Catch") for each in state.get(field, ())]
        waiting += [target for target in targets if isinstance(target, str)]
    return found
