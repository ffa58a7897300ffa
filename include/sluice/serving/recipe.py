"""Recipes: the requests that create an endpoint configuration and its models. A roll-back needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from sluice.aws.failures import is_absent
from sluice.declaration.deployment import Deployment
from sluice.lake.manifests import digest_of
from sluice.training.members import pipeline_tags
from sluice.training.models import Model, create_unless_existing, make_model, model_request
from sluice.workspace import Workspace

VARIANT = "primary"


class Recipe(BaseModel):
    """The CreateModel requests, and the CreateEndpointConfig request that names these models."""

    model_config = ConfigDict(frozen=True)

    models: tuple[Mapping[str, Any], ...]
    config: Mapping[str, Any]

    @property
    def config_name(self) -> str:
        """The name of the endpoint configuration."""
        return str(self.config["EndpointConfigName"])

    @property
    def instances(self) -> int:
        """How many instances serve at first; 0 if it is serverless."""
        return sum(each.get("InitialInstanceCount", 0) for each in self.config["ProductionVariants"])

    def instances_of(self, instance_type: str) -> int:
        """Return how many of these instances are of a type.

        Args:
            instance_type: The type, such as ``ml.m5.large``.
        """
        variants = [each for each in self.config["ProductionVariants"] if each.get("InstanceType") == instance_type]
        return sum(each.get("InitialInstanceCount", 0) for each in variants)


def recipe_of_model(workspace: Workspace, model: Model) -> Recipe:
    """Return the recipe that serves a model as the pipeline declares it.

    The configuration's name ends in a digest of its content without the declared tags, because these do not change what
    serves.

    Args:
        workspace: The workspace of a pipeline that declares a deployment.
        model: The model.

    Raises:
        MissingResource: the pipeline's stack has no role for SageMaker.
    """
    pipeline = workspace.pipeline
    deployment, tags = pipeline.require_deployment(), pipeline_tags(pipeline)
    config: dict[str, Any] = {
        "ProductionVariants": [
            {"VariantName": VARIANT, "ModelName": model.job, "InitialVariantWeight": 1.0, **_capacity(deployment)}
        ],
        # A serverless endpoint has no disk to encrypt.
        **({"KmsKeyId": pipeline.kms_key} if pipeline.kms_key and deployment.serverless is None else {}),
        "Tags": tags[:1],
    }
    name = f"{deployment.endpoint}-{digest_of(config)[:16]}"
    return Recipe(
        models=(model_request(workspace, model),), config={"EndpointConfigName": name, **config, "Tags": tags}
    )


def _capacity(deployment: Deployment) -> Mapping[str, Any]:
    serverless = deployment.serverless
    if serverless is None:
        return {"InstanceType": deployment.instance_type, "InitialInstanceCount": deployment.instances}
    return {"ServerlessConfig": {"MemorySizeInMB": serverless.memory_mb, "MaxConcurrency": serverless.concurrency}}


def recipe_of_config(workspace: Workspace, name: str) -> Recipe | None:
    """Return the recipe of an existing configuration, as SageMaker describes it.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        name: The name of the configuration.

    Returns:
        None if the configuration or one of its models does not exist.
    """
    config = _request(workspace, "EndpointConfig", name)
    models = [_request(workspace, "Model", model) for model in _models_of(config)]
    existing = tuple(model for model in models if model is not None)
    return Recipe(models=existing, config=config) if config is not None and len(existing) == len(models) else None


def deleted_part(workspace: Workspace, name: str) -> str:
    """Return what was deleted of a configuration that serves, in words; empty if all of it exists.

    Args:
        workspace: The workspace of the pipeline that declares the deployment.
        name: The name of the configuration.
    """
    config = _request(workspace, "EndpointConfig", name)
    if config is None:
        return f"endpoint configuration {name}"
    return next((f"model {each}" for each in _models_of(config) if _request(workspace, "Model", each) is None), "")


def _models_of(config: Mapping[str, Any] | None) -> list[str]:
    variants = config["ProductionVariants"] if config else []
    return sorted({variant["ModelName"] for variant in variants if "ModelName" in variant})


def _request(workspace: Workspace, kind: str, name: str) -> Mapping[str, Any] | None:
    """Return the request that creates a resource again: those members of its description that the request has.

    It is None if the resource does not exist.
    """
    sagemaker = workspace.aws.client("sagemaker")
    calls: Any = {"Model": sagemaker.describe_model, "EndpointConfig": sagemaker.describe_endpoint_config}
    try:
        described = calls[kind](**{f"{kind}Name": name})
    except ClientError as error:
        if not is_absent(error):
            raise
        return None
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
        make_model(workspace, model)
    try:
        sagemaker.describe_endpoint_config(EndpointConfigName=recipe.config_name)
    except ClientError as error:
        if not is_absent(error):
            raise
        create_unless_existing(sagemaker.create_endpoint_config, recipe.config)
