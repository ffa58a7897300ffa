"""The endpoint: what it is, and the calls that change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from sluice.aws.failures import is_absent
from sluice.errors import DeploymentFailed
from sluice.training.members import pipeline_tags
from sluice.workspace import Workspace

_SETTLED = {"InService", "Failed", "OutOfService", "UpdateRollbackFailed"}
# SageMaker updates none of these; DeleteEndpoint is the only call that it takes (API reference, DescribeEndpoint).
_DELETE_ONLY = {"Failed", "OutOfService"}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as SageMaker describes it.

    During an update ``config`` is still the old configuration, and ``pending`` is the new one; else it is empty.
    """

    name: str
    status: str
    config: str
    failure_reason: str
    pending: str = ""

    @property
    def settled(self) -> bool:
        """Whether no change is in progress. It does not mean that the endpoint serves."""
        return self.status in _SETTLED

    @property
    def delete_only(self) -> bool:
        """Whether the endpoint can only be deleted."""
        return self.status in _DELETE_ONLY

    def serves(self, config: str) -> bool:
        """Return whether the endpoint answers with a configuration, and with no other one."""
        return self.status == "InService" and self.config == config

    def __str__(self) -> str:
        reason = f" ({self.failure_reason})" if self.failure_reason else ""
        return f"{self.status} on {self.config}{reason}"


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
    pending = answer.get("PendingDeploymentSummary", {}).get("EndpointConfigName", "")
    return Endpoint(name, answer["EndpointStatus"], answer["EndpointConfigName"], reason, pending)


def check_live(name: str, live: Endpoint | None, config: str, alarms: Sequence[str] = ()) -> None:
    """Require that an endpoint serves a configuration.

    The status alone does not prove it: after SageMaker's own roll-back an endpoint is InService on the old one.

    Args:
        name: The name of the endpoint.
        live: The endpoint as it was read back; None if it does not exist.
        config: The name of the configuration.
        alarms: The names of the alarms that may have rolled it back.

    Raises:
        DeploymentFailed: the endpoint does not serve, or serves another configuration.
    """
    if live is None or not live.serves(config):
        found = "it is gone" if live is None else f"it is {live}"
        causes = [f"CloudWatch alarms {', '.join(alarms)}"] if alarms else []
        places = " and ".join([f"CloudWatch log group /aws/sagemaker/Endpoints/{name}", *causes])
        raise DeploymentFailed(
            f"endpoint {name} does not serve {config}: {found}; look at its {places}, then deploy again"
        )


def serve(
    workspace: Workspace, name: str, config: str, *, exists: bool, update: Mapping[str, Any] | None = None
) -> None:
    """Request that an endpoint serves a configuration.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        name: The name of the endpoint.
        config: The name of the configuration.
        exists: Whether there is an endpoint; if not, it is created.
        update: How an existing endpoint changes, as members of the request; None: all traffic at once.
    """
    sagemaker = workspace.aws.client("sagemaker")
    if exists:
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **(update or {}))
    else:
        tags = pipeline_tags(workspace.pipeline)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=tags)


def delete(workspace: Workspace, name: str) -> None:
    """Request that an endpoint is deleted.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        name: The name of the endpoint.
    """
    workspace.aws.client("sagemaker").delete_endpoint(EndpointName=name)
