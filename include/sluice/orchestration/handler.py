"""The Lambda function of a training's machine: each of its states is one act."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.clients import Aws
from sluice.aws.failures import explain, is_transient
from sluice.errors import SluiceError
from sluice.orchestration.acts import ACTS
from sluice.workspace import Workspace


class Transient(Exception):
    """An act failed for a reason that passes by itself. The machine retries it."""


class Refused(Exception):
    """An act failed for a reason that only a change repairs. The machine ends with it."""


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do one act.

    Args:
        event: ``pipeline``, ``act``, and the ``state`` of the run.
        context: What Lambda passes.

    Returns:
        The state of the run afterwards.

    Raises:
        Transient: the act failed, and may succeed a moment later.
        Refused: the act failed for another reason. The message is one line with the next action.
    """
    try:
        workspace = Workspace.open(Aws(), event["pipeline"])
        return dict(ACTS[event["act"]](workspace, event["state"]))
    except (SluiceError, BotoCoreError, ClientError) as error:
        raise (Transient if is_transient(error) else Refused)(explain(error)) from None
