"""Recipes: the requests that create an endpoint configuration and its models. A roll-back needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from sluice.aws.failures import error_code, is_absent
from sluice.declaration.pipeline import Pipeline
from sluice.lake.manifests import digest_of
from sluice.training.algorithms.contract import algorithm_of
from sluice.training.jobs import Job
from sluice.training.request import declared_tags, vpc_config
from sluice.workspace import Workspace


class Recipe(BaseModel):
    """The CreateModel requests, and the CreateEndpointConfig request that names these models."""

    model_config = ConfigDict(frozen=True)

    models: tuple[Mapping[str, Any], ...]
    config: Mapping[str, Any]

    @property
    def config_name(self) -> str:
        """The name of the endpoint configuration."""
        return str(self.config["EndpointConfigName"])


def recipe_of_job(workspace: Workspace, job: Job) -> Recipe:
    """Return the recipe that serves a job's model as the pipeline declares it.

    The configuration's name ends in a digest of its content without the declared tags, because these do not change what
    serves.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        job: A completed job; the model gets its name.

    Raises:
        MissingResource: the pipeline's stack has no role for SageMaker.
    """
    pipeline, region = workspace.pipeline, workspace.aws.client("sagemaker").meta.region_name
    deployment, tags = pipeline.require_deployment(), pipeline_tags(pipeline)
    image = algorithm_of(pipeline.require_training().candidate).image(region)
    config: dict[str, Any] = {
        "ProductionVariants": [
            {
                "VariantName": "primary",
                "ModelName": job.name,
                "InstanceType": deployment.instance_type,
                "InitialInstanceCount": deployment.instances,
                "InitialVariantWeight": 1.0,
            }
        ],
        **({"KmsKeyId": pipeline.kms_key} if pipeline.kms_key else {}),
        "Tags": tags[:1],
    }
    name = f"{deployment.endpoint}-{digest_of(config)[:16]}"
    model = {
        "ModelName": job.name,
        "PrimaryContainer": {"Image": image, "ModelDataUrl": job.model_uri},
        "ExecutionRoleArn": workspace.resources.require_role(),
        **vpc_config(pipeline),
        "Tags": tags,
    }
    return Recipe(models=(model,), config={"EndpointConfigName": name, **config, "Tags": tags})


def recipe_of_config(workspace: Workspace, name: str) -> Recipe | None:
    """Return the recipe of an existing configuration, as SageMaker describes it.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        name: The name of the configuration.

    Returns:
        None if the configuration or one of its models does not exist.
    """
    try:
        config = _request(workspace, "EndpointConfig", name)
        names = {variant["ModelName"] for variant in config["ProductionVariants"] if "ModelName" in variant}
        return Recipe(models=tuple(_request(workspace, "Model", model) for model in sorted(names)), config=config)
    except ClientError as error:
        if not is_absent(error):
            raise
        return None


def _request(workspace: Workspace, kind: str, name: str) -> Mapping[str, Any]:
    """Return the request that creates a resource again: those members of its description that the request has."""
    sagemaker = workspace.aws.client("sagemaker")
    calls: Any = {"Model": sagemaker.describe_model, "EndpointConfig": sagemaker.describe_endpoint_config}
    described = calls[kind](**{f"{kind}Name": name})
    members = sagemaker.meta.service_model.operation_model(f"Create{kind}").input_shape.members
    return {member: described[member] for member in members if member in described}


def make(workspace: Workspace, recipe: Recipe) -> None:
    """Create those of a recipe's models and configuration that do not exist.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        recipe: The requests to make.
    """
    sagemaker = workspace.aws.client("sagemaker")
    for model in recipe.models:
        _unless_existing(sagemaker.create_model, model)
    _unless_existing(sagemaker.create_endpoint_config, recipe.config)


def _unless_existing(create: Any, request: Mapping[str, Any]) -> None:
    """Make the request unless the resource exists. A name has a digest of the content, so what exists is the same."""
    try:
        create(**request)
    except ClientError as error:
        if error_code(error) != "ValidationException" or "already existing" not in str(error):
            raise


def pipeline_tags(pipeline: Pipeline) -> list[Any]:
    """Return Sluice's own tag, then the declared ones, in SageMaker's form."""
    return [{"Key": "sluice:pipeline", "Value": pipeline.name}, *declared_tags(pipeline)]
