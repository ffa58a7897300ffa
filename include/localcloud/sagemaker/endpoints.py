"""CreateEndpoint, UpdateEndpoint, DescribeEndpoint, DeleteEndpoint and ListEndpoints."""

from __future__ import annotations

import time
from typing import Any

from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.deployment import KIND, Deployer
from localcloud.sagemaker.endpoint_configs import EndpointConfigs
from localcloud.sagemaker.errors import validation_error
from localcloud.sagemaker.listing import page
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.protocol import Operation
from localcloud.sagemaker.store import Document, MissingResourceError, NameTakenError, Store
from localcloud.sagemaker.tags import Tags

_IN_PROGRESS = ("Creating", "Updating", "RollingBack", "Deleting", "SystemUpdating")


class Endpoints:
    """Endpoints, as the control plane shows them."""

    def __init__(self, store: Store, tags: Tags, configs: EndpointConfigs, models: Models, deployer: Deployer) -> None:
        self._store = store
        self._tags = tags
        self._configs = configs
        self._models = models
        self._deployer = deployer

    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateEndpoint": self._create,
            "UpdateEndpoint": self._update,
            "DescribeEndpoint": self._describe,
            "DeleteEndpoint": self._delete,
            "ListEndpoints": self._list,
        }

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        endpoint_arn = arn(KIND, name)
        now = time.time()
        document = {
            "EndpointName": name,
            "EndpointArn": endpoint_arn,
            "EndpointConfigName": request["EndpointConfigName"],
            "EndpointStatus": "Creating",
            "CreationTime": now,
            "LastModifiedTime": now,
            "Wanted": self._wanted(request["EndpointConfigName"], revision=1),
        }
        if "DeploymentConfig" in request:
            document["LastDeploymentConfig"] = request["DeploymentConfig"]
        try:
            self._store.insert(KIND, name, document)
        except NameTakenError as error:
            raise validation_error(f'Cannot create already existing endpoint "{endpoint_arn}".') from error
        self._tags.put(endpoint_arn, request.get("Tags", []))
        self._deployer.deploy(name)
        return {"EndpointArn": endpoint_arn}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        endpoint_arn = self._get(name)["EndpointArn"]
        wanted = self._wanted(request["EndpointConfigName"], revision=0)

        def updating(endpoint: Document) -> None:
            if endpoint["EndpointStatus"] in _IN_PROGRESS:
                raise validation_error(f'Cannot update in-progress endpoint "{endpoint_arn}".')
            if endpoint["EndpointStatus"] != "InService":
                raise validation_error(
                    f'Cannot update endpoint "{endpoint_arn}" in status {endpoint["EndpointStatus"]}: delete it.'
                )
            endpoint["Wanted"] = wanted | {"Revision": endpoint["Deployed"]["Revision"] + 1}
            endpoint["EndpointStatus"] = "Updating"
            endpoint["LastModifiedTime"] = time.time()
            endpoint.pop("FailureReason", None)
            if "DeploymentConfig" in request:
                endpoint["LastDeploymentConfig"] = request["DeploymentConfig"]

        self._store.update(KIND, name, updating)
        self._deployer.deploy(name)
        return {"EndpointArn": endpoint_arn}

    def _wanted(self, config_name: str, revision: int) -> Document:
        config = self._configs.get(config_name)
        return {
            "EndpointConfigName": config_name,
            "Revision": revision,
            "Variants": [self._variant(variant) for variant in config["ProductionVariants"]],
        }

    def _variant(self, variant: dict[str, Any]) -> dict[str, Any]:
        container = self._models.container(variant["ModelName"])
        return {
            "VariantName": variant["VariantName"],
            "Weight": variant["InitialVariantWeight"],
            "Instances": variant.get("InitialInstanceCount", 1),
            "ModelName": variant["ModelName"],
            "Image": container["Image"],
            "ModelDataUrl": container.get("ModelDataUrl", ""),
            "Environment": container.get("Environment", {}),
        }

    def _get(self, name: str) -> Document:
        try:
            return self._store.get(KIND, name)
        except MissingResourceError as error:
            raise validation_error(f'Could not find endpoint "{arn(KIND, name)}".') from error

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._get(request["EndpointName"])

    def _delete(self, request: dict[str, Any]) -> None:
        name = request["EndpointName"]
        endpoint = self._get(name)

        def deleting(endpoint: Document) -> None:
            endpoint["EndpointStatus"] = "Deleting"
            endpoint["LastModifiedTime"] = time.time()

        self._store.update(KIND, name, deleting)
        self._tags.drop(endpoint["EndpointArn"])
        if endpoint["EndpointStatus"] != "Deleting":
            self._deployer.remove(name)

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return page(
            self._store.all(KIND),
            request,
            answer="Endpoints",
            name="EndpointName",
            status="EndpointStatus",
            members=("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus"),
        )
