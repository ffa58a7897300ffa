"""Renders the machine of a training in the Amazon States Language, with JSONata.

The names of its states are those that a user sees in the console. Whatever fails ends in ``Failed``, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sluice.declaration.pipeline import Pipeline
from sluice.serving.rollout import longest_change

_SETTLING_SECONDS = 15  # between two looks at an endpoint that changes
# An execution has at most 25,000 events (Step Functions developer guide, "Quotas"), and there are at most five waits. A
# look makes 9 events: two each to wait and to choose, five to call.
_MOST_LOOKS = 500
# Faults of Lambda itself, and what passes by itself (Step Functions developer guide, "Handling errors").
_RETRIED = [
    "Transient",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
]
_RETRY = {"ErrorEquals": _RETRIED, "IntervalSeconds": 5, "BackoffRate": 2, "MaxAttempts": 6, "MaxDelaySeconds": 120}
# A function reports an error as JSON with its message; another error is text.
_REASON = (
    "{% $contains($states.errorOutput.Cause, '\"errorMessage\"') ? $parse($states.errorOutput.Cause).errorMessage : "
    "$states.errorOutput.Error & ': ' & $states.errorOutput.Cause %}"
)
_WITH_REASON = "{% $merge([$state, {'reason': $reason}]) %}"
_LONGEST_ACT_SECONDS = 900  # of a function
FAILED = "Failed"


def definition(pipeline: Pipeline, function: str) -> Mapping[str, Any]:
    """Return the machine of a pipeline whose training Step Functions runs.

    Its input may have ``from`` and ``to``, which limit the partitions; its output is the state of the run: the
    snapshot, the jobs, the verdict, and the deployment.

    Args:
        pipeline: The pipeline.
        function: The name or the ARN of the function that does the acts.
    """
    longest_job = pipeline.require_training().longest_job
    begin = "{% $merge([$states.input, {'run': $states.context.Execution.Name}]) %}"
    states = {
        "Snapshot": _act(pipeline, function, "snapshot", "Launch", state=begin),
        "Launch": _act(pipeline, function, "launch", "WaitForTraining"),
        **_waited(pipeline, function, "Training", "look_at_training", "Score", longest=longest_job),
        "Score": _act(pipeline, function, "score", "WaitForScores"),
        **_waited(pipeline, function, "Scores", "look_at_scores", "Judge", longest=longest_job),
        "Judge": _act(pipeline, function, "judge", "Announce"),
        "Announce": _act(pipeline, function, "announce", _after_announcement(pipeline)),
        **_going_live(pipeline, function),
        "Live": {"Type": "Succeed"},
        FAILED: {"Type": "Fail", "Error": "TrainingFailed", "Cause": "{% $reason %}"},
    }
    return {
        "Comment": f"Trains, judges and deploys the model of {pipeline.name}. It is rendered from the declaration.",
        "QueryLanguage": "JSONata",
        "StartAt": "Snapshot",
        "States": states,
    }


def _after_announcement(pipeline: Pipeline) -> str:
    if pipeline.approval is not None:
        return "LookForApproval"
    return _first_of_going_live(pipeline)


def _first_of_going_live(pipeline: Pipeline) -> str:
    if pipeline.deployment is not None:
        return "Deploy"
    return "MakeLive" if pipeline.scoring is not None else "Live"


def _going_live(pipeline: Pipeline, function: str) -> Mapping[str, Any]:
    """Return the states that make the winner live, as far as the pipeline declares it."""
    states: dict[str, Any] = {}
    if pipeline.approval is not None:
        following = _first_of_going_live(pipeline)
        states |= _waited(
            pipeline, function, "Approval", "approve", following, longest=pipeline.approval, look="LookForApproval"
        )
    if pipeline.deployment is not None:
        settling = _seconds_between_looks(timedelta(seconds=_SETTLING_SECONDS), longest_change(pipeline))
        states |= {
            # An error in between may leave an unproven model live, so it is undone first.
            "Deploy": _act(pipeline, function, "deploy", "HasSettled", caught_by="Undo"),
            "HasSettled": _choice("WaitForEndpoint", "Live"),
            "WaitForEndpoint": _wait(settling, "Deploy"),
            "Undo": _act(pipeline, function, "undo", "IsUndone", state=_WITH_REASON),
            "IsUndone": _choice("WaitForUndo", FAILED),
            "WaitForUndo": _wait(settling, "Undo"),
        }
    elif pipeline.scoring is not None:
        states["MakeLive"] = _act(pipeline, function, "make_live", "Live")
    return states


def _waited(
    pipeline: Pipeline,
    function: str,
    what: str,
    act: str,
    following: str,
    *,
    longest: timedelta,
    look: str | None = None,
) -> Mapping[str, Any]:
    """Return the states that look until something has ended: wait, look, choose."""
    wait, look, has_ended = f"WaitFor{what}", look or f"LookAt{what}", f"Has{what}Ended"
    seconds = _seconds_between_looks(pipeline.require_training().require_orchestrator().poll, longest)
    return {
        wait: _wait(seconds, look),
        look: _act(pipeline, function, act, has_ended),
        has_ended: _choice(wait, following),
    }


def _seconds_between_looks(poll: timedelta, longest: timedelta) -> int:
    """Return the interval that is asked for, or a longer one with which the longest wait fits into an execution."""
    return math.ceil(max(poll, longest / _MOST_LOOKS).total_seconds())


def _act(
    pipeline: Pipeline,
    function: str,
    act: str,
    following: str,
    *,
    state: str = "{% $state %}",
    caught_by: str = FAILED,
) -> Mapping[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {
            "FunctionName": function,
            "Payload": {"pipeline": pipeline.name, "act": act, "state": state},
        },
        "Assign": {"state": "{% $states.result.Payload %}"},
        "Output": "{% $states.result.Payload %}",
        "TimeoutSeconds": _LONGEST_ACT_SECONDS,
        "Retry": [_RETRY],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Assign": {"reason": _REASON}, "Next": caught_by}],
        "Next": following,
    }


def _wait(seconds: int, following: str) -> Mapping[str, Any]:
    return {"Type": "Wait", "Seconds": seconds, "Next": following}


def _choice(waiting: str, following: str) -> Mapping[str, Any]:
    return {"Type": "Choice", "Choices": [{"Condition": "{% $state.waiting %}", "Next": waiting}], "Default": following}
