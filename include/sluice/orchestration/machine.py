"""Renders the machine of a training in the Amazon States Language, with JSONata.

The names of its states are those that a user sees in the console. Whatever fails ends in ``Failed``, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sluice.declaration.pipeline import Pipeline
from sluice.declaration.training import AROUND_A_JOB
from sluice.serving.rollout import longest_change

_SETTLING_SECONDS = 15  # between two looks at an endpoint that changes
# An execution has at most 25,000 events (Step Functions developer guide, "Quotas"). A look makes 9 of them: two each to
# wait and to choose, five to call. There are three long waits, and a deployment that fails makes ten changes at most:
# it waits for one of another's, and requests three times each what is new, what served before, and that again.
_MOST_LOOKS, _MOST_LOOKS_AT_A_CHANGE = 500, 120
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


@dataclass(frozen=True)
class _Call:
    """How the states call the function.

    Attributes:
        pipeline: The name of the pipeline.
        function: The name or the ARN of the function.
        code: The fingerprint of the code that it must have.
    """

    pipeline: str
    function: str
    code: str

    def act(
        self, act: str, following: str, *, state: str = "{% $state %}", caught_by: str = FAILED
    ) -> Mapping[str, Any]:
        """Return the state that does an act.

        Args:
            act: The name of the act.
            following: The state that follows.
            state: The state of the run before, in JSONata.
            caught_by: The state that follows an error.
        """
        payload = {
            "pipeline": self.pipeline,
            "act": act,
            "code": self.code,
            "execution": "{% $states.context.Execution.Id %}",
            "state": state,
        }
        return {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": self.function, "Payload": payload},
            "Assign": {"state": "{% $states.result.Payload %}"},
            "Output": "{% $states.result.Payload %}",
            "TimeoutSeconds": _LONGEST_ACT_SECONDS,
            "Retry": [_RETRY],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Assign": {"reason": _REASON}, "Next": caught_by}],
            "Next": following,
        }


def definition(pipeline: Pipeline, function: str, code: str) -> Mapping[str, Any]:
    """Return the machine of a pipeline whose training Step Functions runs.

    Its input may have ``from`` and ``to``, which limit the partitions; its output is the state of the run: the
    snapshot, the jobs, the verdict, and the deployment.

    Args:
        pipeline: The pipeline.
        function: The name or the ARN of the function that does the acts.
        code: The fingerprint of the code that the function must have before anything is paid for.
    """
    call = _Call(pipeline.name, function, code)
    longest_job = pipeline.require_training().longest_job + AROUND_A_JOB
    begin = "{% $merge([$states.input, {'run': $states.context.Execution.Name}]) %}"
    states = {
        "Snapshot": call.act("snapshot", "Launch", state=begin),
        "Launch": call.act("launch", "WaitForTraining"),
        **_waited(pipeline, call, "Training", "look_at_training", "Score", longest=longest_job),
        "Score": call.act("score", "WaitForScores"),
        **_waited(pipeline, call, "Scores", "look_at_scores", "Judge", longest=longest_job),
        "Judge": call.act("judge", "Announce"),
        "Announce": call.act("announce", _after_announcement(pipeline)),
        **_going_live(pipeline, call),
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


def _going_live(pipeline: Pipeline, call: _Call) -> Mapping[str, Any]:
    """Return the states that make the winner live, as far as the pipeline declares it."""
    states: dict[str, Any] = {}
    if pipeline.approval is not None:
        following = _first_of_going_live(pipeline)
        states |= _waited(
            pipeline, call, "Approval", "approve", following, longest=pipeline.approval, look="LookForApproval"
        )
    if pipeline.deployment is not None:
        settling = _seconds_between_looks(
            timedelta(seconds=_SETTLING_SECONDS), longest_change(pipeline), _MOST_LOOKS_AT_A_CHANGE
        )
        states |= {
            # An error in between may leave an unproven model live, so it is undone first.
            "Deploy": call.act("deploy", "HasSettled", caught_by="Undo"),
            "HasSettled": _choice("WaitForEndpoint", "Live"),
            "WaitForEndpoint": _wait(settling, "Deploy"),
            "Undo": call.act("undo", "IsUndone", state=_WITH_REASON),
            "IsUndone": _choice("WaitForUndo", FAILED),
            "WaitForUndo": _wait(settling, "Undo"),
        }
    elif pipeline.scoring is not None:
        states["MakeLive"] = call.act("make_live", "Live")
    return states


def _waited(
    pipeline: Pipeline,
    call: _Call,
    what: str,
    act: str,
    following: str,
    *,
    longest: timedelta,
    look: str | None = None,
) -> Mapping[str, Any]:
    """Return the states that look until something has ended: wait, look, choose."""
    wait, look, has_ended = f"WaitFor{what}", look or f"LookAt{what}", f"Has{what}Ended"
    seconds = _seconds_between_looks(pipeline.require_training().require_orchestrator().poll, longest, _MOST_LOOKS)
    return {
        wait: _wait(seconds, look),
        look: call.act(act, has_ended),
        has_ended: _choice(wait, following),
    }


def _seconds_between_looks(poll: timedelta, longest: timedelta, looks: int) -> int:
    """Return the interval that is asked for, or a longer one with which the longest wait fits into an execution."""
    return math.ceil(max(poll, longest / looks).total_seconds())


def _wait(seconds: int, following: str) -> Mapping[str, Any]:
    return {"Type": "Wait", "Seconds": seconds, "Next": following}


def _choice(waiting: str, following: str) -> Mapping[str, Any]:
    return {"Type": "Choice", "Choices": [{"Condition": "{% $state.waiting %}", "Next": waiting}], "Default": following}
