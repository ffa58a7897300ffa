"""Whether the account may use the instances that a pipeline declares, asked before anything is paid (P14)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError

from sluice.declaration.pipeline import Pipeline
from sluice.errors import QuotaTooLow
from sluice.serving.champion import newest_record
from sluice.serving.endpoint import find_endpoint
from sluice.serving.records import DeploymentRecord
from sluice.workspace import Workspace

_SERVICE = "sagemaker"

logger = logging.getLogger(__name__)


def require_quotas(workspace: Workspace) -> None:
    """Require quotas of SageMaker for the jobs that run side by side, and for the endpoint.

    What other pipelines use meanwhile is not known, so a quota that suffices here may be used up later. Then SageMaker
    refuses the job or the endpoint. A network without a way to Service Quotas leaves it to that, too.

    Args:
        workspace: The workspace of a pipeline that declares a training.

    Raises:
        QuotaTooLow: the account has fewer instances of a type.
    """
    needed = instances_needed(workspace.pipeline, _live(workspace))
    try:
        allowed = _quotas(workspace.aws.client("service-quotas"), needed)
    except (ConnectTimeoutError, EndpointConnectionError) as error:
        logger.warning("the quotas of %s were not checked: %s", ", ".join(needed), error)
        return
    for name, count in needed.items():
        if allowed.get(name, count) < count:
            raise QuotaTooLow(
                f"pipeline {workspace.pipeline.name} needs a quota of {count} for {name!r}, and the account has "
                f"{allowed[name]:g}: request a higher one in AWS Service Quotas, or declare another instance_type"
            )


def instances_needed(pipeline: Pipeline, live: DeploymentRecord | None) -> Counter[str]:
    """Return the number of instances that a training, or a scoring, uses at once, by the names of quotas.

    Args:
        pipeline: A pipeline that declares a training.
        live: What was made live last, if its endpoint exists or it needs none. Its model scores the rows beside the
            candidates' models, and an update runs the new instances beside its own.
    """
    training, deployment, needed = pipeline.require_training(), pipeline.deployment, Counter[str]()
    for candidate in training.candidates:
        kind = "training" if candidate.spot is None else "spot training"
        at_once = candidate.tuning.parallel if candidate.tuning else 1
        needed[f"{candidate.instance_type} for {kind} job usage"] += at_once
        needed[f"{candidate.instance_type} for transform job usage"] += 1
    if live is not None:
        needed[f"{live.model.instance_type} for transform job usage"] += 1
    if pipeline.scoring is not None:
        batch = f"{pipeline.scoring.instance_type} for transform job usage"
        needed[batch] = max(needed[batch], 1)
    if deployment is not None and deployment.serverless is None:
        most = deployment.autoscaling.most if deployment.autoscaling else 0
        old = live.recipe.instances_of(deployment.instance_type) if live and live.recipe else 0
        needed[f"{deployment.instance_type} for endpoint usage"] = max(deployment.instances + old, most)
    return needed


def _live(workspace: Workspace) -> DeploymentRecord | None:
    deployment = workspace.pipeline.deployment
    if deployment is not None and find_endpoint(workspace, deployment.endpoint) is None:
        return None
    return newest_record(workspace)


def _quotas(client: Any, names: Mapping[str, int]) -> dict[str, float]:
    """Return the values of quotas, by their names. A value that was never changed may only be among the defaults."""
    found: dict[str, float] = {}
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        for name, value in _listed(client, operation):
            if name in names:
                found.setdefault(name, value)
            if len(found) == len(names):
                return found
    return found


def _listed(client: Any, operation: str) -> Iterator[tuple[str, float]]:
    for page in client.get_paginator(operation).paginate(ServiceCode=_SERVICE):
        for each in page["Quotas"]:
            yield each["QuotaName"], each["Value"]
