"""What serves a model follows from the declaration: its key, its network, its tags."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.validate import ParamValidator
from tests.clients import MODEL, offline
from tests.sluice.provisioning.shapes import KEY
from tests.sluice.toy import toy

from sluice.declaration import Deployment, Network, Serverless
from sluice.declaration.pipeline import Pipeline
from sluice.serving.recipe import Recipe, recipe_of_model

NETWORK = Network(("subnet-0a1b2c3d",), ("sg-0a1b2c3d",))
OWN_TAG = {"Key": "sluice:pipeline", "Value": "toy"}


def recipe(pipeline: Pipeline) -> Recipe:
    return recipe_of_model(offline(pipeline), MODEL)


def test_key_and_network_are_set_where_sagemaker_expects_them() -> None:
    guarded = recipe(toy(kms_key=KEY, network=NETWORK, isolated=True))

    (model,) = guarded.models
    assert model["VpcConfig"] == {"SecurityGroupIds": ["sg-0a1b2c3d"], "Subnets": ["subnet-0a1b2c3d"]}
    assert model["EnableNetworkIsolation"] is True
    assert "EnableNetworkIsolation" not in recipe(toy()).models[0]
    assert guarded.config["KmsKeyId"] == KEY
    assert guarded.config_name != recipe(toy()).config_name
    service = botocore.session.get_session().get_service_model("sagemaker")
    for operation, request in (("CreateModel", model), ("CreateEndpointConfig", guarded.config)):
        shape: Any = service.operation_model(operation).input_shape
        assert ParamValidator().validate(request, shape).generate_report() == ""


def test_serverless_endpoint_has_no_instances() -> None:
    deployment = Deployment("toy-late", serverless=Serverless(memory_mb=3072, concurrency=7))
    serverless = recipe(toy(deployment=deployment, kms_key=KEY))

    (variant,) = serverless.config["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 3072, "MaxConcurrency": 7}
    assert not {"InstanceType", "InitialInstanceCount"} & set(variant)
    assert "KmsKeyId" not in serverless.config
    shape: Any = botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateEndpointConfig")
    assert ParamValidator().validate(serverless.config, shape.input_shape).generate_report() == ""


def test_tags_are_set_and_do_not_change_the_deployment() -> None:
    plain, tagged = recipe(toy()), recipe(toy(tags={"team": "freight"}))

    assert tagged.config["Tags"] == tagged.models[0]["Tags"] == [OWN_TAG, {"Key": "team", "Value": "freight"}]
    assert plain.config["Tags"] == [OWN_TAG]
    assert tagged.config_name == plain.config_name
