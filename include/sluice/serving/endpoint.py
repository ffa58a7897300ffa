"""The endpoint: requests a new configuration, reads back what is live, and rolls back to what served before.

Between the update of an endpoint and the proof of the new model, a worker may be killed and AWS may be unavailable. So
the requested configuration, and the one to roll back to, are recorded in the lake before the endpoint is changed. The
next try reads them there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.failures import explain, is_absent, is_transient
from sluice.errors import DeploymentFailed
from sluice.serving.recipe import make, pipeline_tags, recipe_of_config, recipe_of_job
from sluice.serving.records import RequestedChange, last_proven, record_request, recorded_recipe, requested_change
from sluice.training.jobs import Job
from sluice.workspace import Workspace

_SETTLED = {"InService", "Failed", "OutOfService", "UpdateRollbackFailed"}
# SageMaker updates none of these; DeleteEndpoint is the only call that it takes (API reference, DescribeEndpoint).
_DELETE_ONLY = {"Failed", "OutOfService"}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as SageMaker describes it. During an update ``config`` is still the old configuration."""

    name: str
    status: str
    config: str
    failure_reason: str

    @property
    def settled(self) -> bool:
        """Whether no change is in progress. It does not mean that the endpoint serves."""
        return self.status in _SETTLED

    def __str__(self) -> str:
        reason = f" ({self.failure_reason})" if self.failure_reason else ""
        return f"{self.status} on {self.config}{reason}"


@dataclass(frozen=True)
class Change:
    """A requested change of an endpoint.

    ``config`` is the configuration that was requested. ``previous`` is the one to roll back to; None: there was no
    endpoint. ``unanswered`` is the reason why it is unknown whether SageMaker accepted the request; empty if it did.
    """

    endpoint: str
    config: str
    previous: str | None
    unanswered: str = ""


def find_endpoint(workspace: Workspace, name: str) -> Endpoint | None:
    """Return an endpoint, by one call.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        name: The name of the endpoint.

    Returns:
        None if there is no such endpoint.
    """
    try:
        answer = workspace.aws.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_absent(error):
            return None
        raise
    reason = " ".join(answer.get("FailureReason", "").split())
    return Endpoint(name, answer["EndpointStatus"], answer["EndpointConfigName"], reason)


def start_change(workspace: Workspace, job: Job) -> Change:
    """Request that a job's model goes live. Create the model, the configuration and the endpoint if they don't exist.

    If the configuration is live already, nothing is requested.

    Args:
        workspace: The workspace of a pipeline that declares a deployment; its endpoint is settled or absent.
        job: A completed training job.

    Raises:
        DeploymentFailed: the endpoint is in a state from which SageMaker updates nothing.
    """
    name = workspace.pipeline.require_deployment().endpoint
    recipe, live = recipe_of_job(workspace, job), find_endpoint(workspace, name)
    if live is not None and live.status != "InService":
        raise DeploymentFailed(f"endpoint {name} is {live} and can't be updated; delete it, then clear this task")
    make(workspace, recipe)
    requested = _request(workspace, live, recipe.config_name)
    change = Change(name, requested.config, requested.former)
    if live is not None and live.config == requested.config:
        return change
    record_request(workspace.lake, requested)
    try:
        _serve(workspace, change.config, exists=live is not None)
    except (BotoCoreError, ClientError) as error:
        if not is_transient(error):
            raise
        # SageMaker may have accepted the request. The proof reads back what is live.
        return replace(change, unanswered=explain(error))
    return change


def _request(workspace: Workspace, live: Endpoint | None, config: str) -> RequestedChange:
    """Return the request, with the configuration to roll back to: the last proven one, else what served before Sluice.

    What is live now may be an unproven change of an earlier try.
    """
    endpoint = workspace.pipeline.require_deployment().endpoint
    if live is None:
        return RequestedChange(endpoint=endpoint, config=config)
    proven = last_proven(workspace.lake, endpoint)
    if proven is not None:
        return RequestedChange(endpoint=endpoint, config=config, former=proven.config)
    earlier = requested_change(workspace.lake, endpoint)
    if earlier is not None and earlier.config == live.config:
        return earlier.model_copy(update={"config": config})
    recipe = recipe_of_config(workspace, live.config)
    return RequestedChange(endpoint=endpoint, config=config, former=live.config, former_recipe=recipe)


def check_live(workspace: Workspace, change: Change) -> None:
    """Require that the requested configuration is live.

    The status alone does not prove it: after SageMaker's own roll-back an endpoint is InService on the old one.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        change: The change that was requested.

    Raises:
        DeploymentFailed: the endpoint does not serve, or serves another configuration.
    """
    live = find_endpoint(workspace, change.endpoint)
    if live is None or live.status != "InService" or live.config != change.config:
        found = "it is gone" if live is None else f"it is {live}"
        raise DeploymentFailed(
            f"endpoint {change.endpoint} does not serve {change.config}: {found}; look at its CloudWatch log group "
            f"/aws/sagemaker/Endpoints/{change.endpoint}, then clear this task"
        )


def roll_back(workspace: Workspace, change: Change) -> bool:
    """Take one step back to what served before: the previous configuration, or no endpoint if there was none.

    Call it again each time the endpoint has settled, until it returns True.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        change: The change to roll back.

    Returns:
        Whether what served before is live again, as read back.
    """
    sagemaker = workspace.aws.client("sagemaker")
    live = find_endpoint(workspace, change.endpoint)
    if change.previous is None:
        if live is not None and live.settled:
            sagemaker.delete_endpoint(EndpointName=change.endpoint)
        return live is None
    if live is not None and live.status == "InService" and live.config == change.previous:
        return True
    if live is None or live.settled:
        _make_again(workspace, change, change.previous)
        if live is not None and live.status in _DELETE_ONLY:
            sagemaker.delete_endpoint(EndpointName=change.endpoint)
        else:
            _serve(workspace, change.previous, exists=live is not None)
    return False


def _make_again(workspace: Workspace, change: Change, config: str) -> None:
    """Create the previous configuration and its models again if they were deleted."""
    recipe = recorded_recipe(workspace.lake, change.endpoint, config)
    if recipe is not None:
        make(workspace, recipe)


def _serve(workspace: Workspace, config: str, *, exists: bool) -> None:
    sagemaker, name = workspace.aws.client("sagemaker"), workspace.pipeline.require_deployment().endpoint
    if exists:
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    else:
        tags = pipeline_tags(workspace.pipeline)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=tags)
