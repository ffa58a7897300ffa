"""The endpoint: content-named models and configurations, created if absent, so that every call can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from sluice.errors import DeploymentFailed
from sluice.lake import error_code
from sluice.manifests import digest_of
from sluice.pipeline import Deployment, Pipeline
from sluice.training.images import xgboost_image
from sluice.training.jobs import Job

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient

_SETTLED = {"InService", "Failed", "OutOfService", "UpdateRollbackFailed"}


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


@dataclass(frozen=True)
class Change:
    """What a deployment asks for: ``config`` is to be live on ``endpoint``, where ``previous`` was (None: nothing)."""

    endpoint: str
    config: str
    previous: str | None


def find_endpoint(sagemaker: SageMakerClient, name: str) -> Endpoint | None:
    """One look at the endpoint, or None where there is none of that name."""
    try:
        answer = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if error_code(error) == "ValidationException" and "Could not find" in str(error):
            return None
        raise
    reason = " ".join(answer.get("FailureReason", "").split())
    return Endpoint(name, answer["EndpointStatus"], answer["EndpointConfigName"], reason)


def start_change(sagemaker: SageMakerClient, pipeline: Pipeline, job: Job, role_arn: str, proven: str | None) -> Change:
    """Make the job's model and its configuration if absent, and ask for it to be live.

    The endpoint must be settled or absent. Where the configuration is live already, nothing is asked for.
    ``proven`` is the configuration that was last read back and probed: it is what a failure goes back to. What
    happens to be live may itself be an earlier try that was never proven.

    Raises:
        DeploymentFailed: the endpoint is in a state from which SageMaker updates nothing.
    """
    deployment = pipeline.deployment
    model = _create_model(sagemaker, pipeline, job, role_arn)
    config = _create_config(sagemaker, pipeline, deployment, model)
    standing = find_endpoint(sagemaker, deployment.endpoint)
    if standing is None:
        sagemaker.create_endpoint(EndpointName=deployment.endpoint, EndpointConfigName=config, Tags=_tags(pipeline))
        return Change(deployment.endpoint, config, None)
    if standing.status != "InService":
        raise DeploymentFailed(
            f"endpoint {standing.name} is {standing.status} ({standing.failure_reason}) and can't be updated; "
            f"delete it, then clear this task"
        )
    if standing.config != config:
        sagemaker.update_endpoint(EndpointName=deployment.endpoint, EndpointConfigName=config)
    unproven = None if standing.config == config else standing.config
    return Change(deployment.endpoint, config, proven or unproven)


def check_live(sagemaker: SageMakerClient, change: Change) -> None:
    """Read back what is live: after an automatic rollback an endpoint is InService on the old configuration.

    Raises:
        DeploymentFailed: the endpoint does not serve, or serves something else.
    """
    live = find_endpoint(sagemaker, change.endpoint)
    if live is None or live.status != "InService" or live.config != change.config:
        found = "it is gone" if live is None else f"it is {live.status} on {live.config} {live.failure_reason}".strip()
        raise DeploymentFailed(
            f"endpoint {change.endpoint} does not serve {change.config}: {found}; look at its CloudWatch log group "
            f"/aws/sagemaker/Endpoints/{change.endpoint}, then clear this task"
        )


def roll_back(sagemaker: SageMakerClient, change: Change) -> None:
    """Ask for what served before: the previous configuration, or no endpoint where there was none."""
    live = find_endpoint(sagemaker, change.endpoint)
    if live is None or not live.settled:
        return
    if change.previous is None:
        sagemaker.delete_endpoint(EndpointName=change.endpoint)
    elif live.config != change.previous:
        sagemaker.update_endpoint(EndpointName=change.endpoint, EndpointConfigName=change.previous)


def _create_model(sagemaker: SageMakerClient, pipeline: Pipeline, job: Job, role_arn: str) -> str:
    image = xgboost_image(sagemaker.meta.region_name)
    request: dict[str, Any] = {
        "ModelName": job.name,
        "PrimaryContainer": {"Image": image, "ModelDataUrl": job.model_uri},
        "ExecutionRoleArn": role_arn,
        "Tags": _tags(pipeline),
    }
    _create_if_absent(sagemaker, "model", request)
    return job.name


def _create_config(sagemaker: SageMakerClient, pipeline: Pipeline, deployment: Deployment, model: str) -> str:
    request: dict[str, Any] = {
        "ProductionVariants": [
            {
                "VariantName": "primary",
                "ModelName": model,
                "InstanceType": deployment.instance_type,
                "InitialInstanceCount": deployment.instances,
                "InitialVariantWeight": 1.0,
            }
        ],
        "Tags": _tags(pipeline),
    }
    name = f"{deployment.endpoint}-{digest_of(request)[:16]}"
    _create_if_absent(sagemaker, "endpoint_config", {"EndpointConfigName": name, **request})
    return name


def _create_if_absent(sagemaker: SageMakerClient, kind: str, request: Mapping[str, Any]) -> None:
    """The name is a digest of the content, so what stands under it is what is asked for."""
    try:
        getattr(sagemaker, f"create_{kind}")(**request)
    except ClientError as error:
        if error_code(error) != "ValidationException" or "already existing" not in str(error):
            raise


def _tags(pipeline: Pipeline) -> list[Any]:
    return [{"Key": "sluice:pipeline", "Value": pipeline.name}]
