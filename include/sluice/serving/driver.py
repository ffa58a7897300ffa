"""What drives a deployment: it takes steps with patience, and restores what served before if a step fails for good."""

from __future__ import annotations

from collections.abc import Callable

from sluice.aws.failures import explain, is_transient, patiently
from sluice.errors import DeploymentFailed
from sluice.serving.deployment import Step, give_up
from sluice.serving.plan import Target
from sluice.workspace import Workspace

PATIENCE_SECONDS = 300.0  # for transient failures


def take(
    step: Callable[[Workspace, Target], Step], workspace: Workspace, target: Target, seconds: float = PATIENCE_SECONDS
) -> Step:
    """Take a step, again while its failure is transient. If it fails for longer, or otherwise, give up.

    Args:
        step: :func:`sluice.serving.deployment.start` or :func:`sluice.serving.deployment.advance`.
        workspace: The workspace of a pipeline that declares a deployment.
        target: What should be live.
        seconds: How long a transient failure is retried.

    Raises:
        DeploymentFailed: what served before could not be restored.
    """
    try:
        return patiently(lambda: step(workspace, target), seconds)
    except Exception as error:
        return restore(workspace, target, explain(error), passes=is_transient(error), seconds=seconds)


def restore(
    workspace: Workspace, target: Target, reason: str, *, passes: bool, seconds: float = PATIENCE_SECONDS
) -> Step:
    """Give up a deployment: restore what served before.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        target: What should have been live.
        reason: Why the deployment is given up.
        passes: Whether the same deployment may succeed later.
        seconds: How long a transient failure is retried.

    Raises:
        DeploymentFailed: what served before could not be restored.
    """
    try:
        return patiently(lambda: give_up(workspace, target, reason, passes=passes), seconds)
    except Exception as error:
        endpoint = workspace.pipeline.require_deployment().endpoint
        raise DeploymentFailed(
            f"{reason}; what served before could not be restored ({explain(error)}), so endpoint {endpoint} may serve "
            f"an unproven model: check it, then deploy again"
        ) from error
