"""The Lambda function of a training's machine: each of its states is one act."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.clients import Aws
from sluice.aws.failures import explain, is_transient, patiently
from sluice.compute.versions import require_same_code
from sluice.errors import SluiceError
from sluice.orchestration.acts import ACTS, FIRST, PAID, State
from sluice.orchestration.executions import stop_jobs_of_ended
from sluice.steps.code import training_fingerprint
from sluice.workspace import Workspace

_PATIENCE_SECONDS = 60.0  # what is not stopped continues to cost money


class Transient(Exception):
    """An act failed for a reason that passes by itself. The machine retries it."""


class Refused(Exception):
    """An act failed for a reason that only a change repairs. The machine ends with it."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do one act.

    Args:
        event: ``pipeline``, ``act``, the fingerprint of the ``code`` for which the machine was provisioned, the ARN of
            the ``execution``, and the ``state`` of the run.
        context: What Lambda passes.

    Returns:
        The state of the run afterwards.

    Raises:
        Transient: the act failed, and may succeed a moment later.
        Refused: the act failed for another reason. The message is one line with the next action.
    """
    try:
        return dict(_done(Workspace.open(Aws(), event["pipeline"]), event))
    except (SluiceError, BotoCoreError, ClientError) as error:
        raise (Transient if is_transient(error) else Refused)(explain(error)) from None


def _done(workspace: Workspace, event: Mapping[str, Any]) -> State:
    """Do the act, and stop what it has started if its execution was stopped meanwhile."""
    act, state = event["act"], event["state"]
    if act in (FIRST, *PAID):  # what has begun to change an endpoint must come to an end, whatever the code
        here = training_fingerprint(workspace.pipeline)
        require_same_code("the machine's function", here, "the training", event["code"], workspace.pipeline.name)
    try:
        state = ACTS[act](workspace, state)
    finally:
        if act in PAID:
            stop = partial(stop_jobs_of_ended, workspace, event["execution"], state)
            patiently(stop, _PATIENCE_SECONDS)
    return state
