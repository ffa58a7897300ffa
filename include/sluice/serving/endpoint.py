"""The endpoint: asks for a new configuration, reads back what is live, and puts back what served before.

Between the update of an endpoint and the proof of the new model a worker may be killed and AWS may be away. So what is
asked for, and what to go back to, are noted in the lake before the endpoint is touched: the next try finds them there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.failures import explain, is_absent, is_transient
from sluice.errors import DeploymentFailed
from sluice.serving.recipe import make, pipeline_tags, recipe_of_config, recipe_of_job
from sluice.serving.records import Asked, asked_of, last_proven, note_asked, recorded_recipe
from sluice.training.jobs import Job
from sluice.workspace import Workspace

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_SETTLED = {"InService", "Failed", "OutOfService", "UpdateRollbackFailed"}
# SageMaker updates none of these; DeleteEndpoint is the only call that it takes (API reference, DescribeEndpoint).
_DELETE_ONLY = {"Failed", "OutOfService"}


@dataclass(frozen=True)
class Endpoint:
    """One look at an endpoint. While it is updating, ``config`` is still the old one."""

    name: str
    status: str
    config: str
    failure_reason: str

    @property
    def settled(self) -> bool:
        """No change is under way; whether it serves, and what, is another question."""
        return self.status in _SETTLED

    def __str__(self) -> str:
        reason = f" ({self.failure_reason})" if self.failure_reason else ""
        return f"{self.status} on {self.config}{reason}"


@dataclass(frozen=True)
class Change:
    """What a deployment asks for: ``config`` is to be live on ``endpoint``, where ``previous`` was (None: nothing).

    ``unanswered`` tells why it is not known whether SageMaker took the request; empty if it did.
    """

    endpoint: str
    config: str
    previous: str | None
    unanswered: str = ""


def find_endpoint(sagemaker: SageMakerClient, name: str) -> Endpoint | None:
    """One look at the endpoint, or None where there is none of that name."""
    try:
        answer = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if is_absent(error):
            return None
        raise
    reason = " ".join(answer.get("FailureReason", "").split())
    return Endpoint(name, answer["EndpointStatus"], answer["EndpointConfigName"], reason)


def start_change(workspace: Workspace, job: Job) -> Change:
    """Ask for the job's model to be live; what does not exist for that is made.

    The endpoint must be settled or absent. Where the configuration is live already, nothing is asked for.

    Raises:
        DeploymentFailed: the endpoint is in a state from which SageMaker updates nothing.
    """
    pipeline, sagemaker = workspace.pipeline, workspace.aws.client("sagemaker")
    name = pipeline.deployment.endpoint
    recipe = recipe_of_job(pipeline, job, workspace.resources.role_arn, sagemaker.meta.region_name)
    live = find_endpoint(sagemaker, name)
    if live is not None and live.status != "InService":
        raise DeploymentFailed(f"endpoint {name} is {live} and can't be updated; delete it, then clear this task")
    make(sagemaker, recipe)
    asked = _asked(workspace, live, recipe.config_name)
    change = Change(name, asked.config, asked.former)
    if live is not None and live.config == asked.config:
        return change
    note_asked(workspace.lake, asked)
    try:
        _serve(workspace, change.config, exists=live is not None)
    except (BotoCoreError, ClientError) as error:
        if not is_transient(error):
            raise
        # SageMaker may have taken the request all the same: what is live is for the proof to read back.
        return replace(change, unanswered=explain(error))
    return change


def _asked(workspace: Workspace, live: Endpoint | None, config: str) -> Asked:
    """What is asked for, and what a failure goes back to: what was last proven, else what served before Sluice came.

    What happens to be live may itself be a change of an earlier try that was never proven.
    """
    endpoint = workspace.pipeline.deployment.endpoint
    if live is None:
        return Asked(endpoint=endpoint, config=config)
    proven = last_proven(workspace.lake, endpoint)
    if proven is not None:
        return Asked(endpoint=endpoint, config=config, former=proven.config)
    earlier = asked_of(workspace.lake, endpoint)
    if earlier is not None and earlier.config == live.config:
        return earlier.model_copy(update={"config": config})
    recipe = recipe_of_config(workspace.aws.client("sagemaker"), live.config)
    return Asked(endpoint=endpoint, config=config, former=live.config, former_recipe=recipe)


def check_live(sagemaker: SageMakerClient, change: Change) -> None:
    """Read back what is live: after an automatic rollback an endpoint is InService on the old configuration.

    Raises:
        DeploymentFailed: the endpoint does not serve, or serves something else.
    """
    live = find_endpoint(sagemaker, change.endpoint)
    if live is None or live.status != "InService" or live.config != change.config:
        found = "it is gone" if live is None else f"it is {live}"
        raise DeploymentFailed(
            f"endpoint {change.endpoint} does not serve {change.config}: {found}; look at its CloudWatch log group "
            f"/aws/sagemaker/Endpoints/{change.endpoint}, then clear this task"
        )


def roll_back(workspace: Workspace, change: Change) -> bool:
    """Take one step towards what served before: the previous configuration, or no endpoint where there was none.

    Call it again once the endpoint has settled, until it returns True: what served before is live, as read back.
    """
    sagemaker = workspace.aws.client("sagemaker")
    live = find_endpoint(sagemaker, change.endpoint)
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
    """Make the previous configuration and its models again where somebody has deleted them."""
    recipe = recorded_recipe(workspace.lake, change.endpoint, config)
    if recipe is not None:
        make(workspace.aws.client("sagemaker"), recipe)


def _serve(workspace: Workspace, config: str, *, exists: bool) -> None:
    sagemaker, name = workspace.aws.client("sagemaker"), workspace.pipeline.deployment.endpoint
    if exists:
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    else:
        tags = pipeline_tags(workspace.pipeline)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=tags)
