"""CreateModel, DescribeModel, DeleteModel and ListModels."""

from __future__ import annotations

import time
from typing import Any

from localcloud.sagemaker.api.arns import arn
from localcloud.sagemaker.api.errors import ServiceError, validation_error
from localcloud.sagemaker.api.listing import page
from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import Document, MissingResourceError, NameTakenError, Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.data.s3 import Location, Objects
from localcloud.sagemaker.registry.model_packages import ModelPackages

KIND = "model"


class Models:
    """A model: an image, the archive it serves, and its environment."""

    def __init__(self, store: Store, tags: Tags, objects: Objects, packages: ModelPackages) -> None:
        self._store = store
        self._tags = tags
        self._objects = objects
        self._packages = packages

    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateModel": self._create,
            "DescribeModel": self._describe,
            "DeleteModel": self._delete,
            "ListModels": self._list,
        }

    def get(self, name: str) -> Document:
        """The model.

        Raises:
            ServiceError: there is none.
        """
        try:
            return self._store.get(KIND, name)
        except MissingResourceError as error:
            raise missing(arn(KIND, name)) from error

    def container(self, name: str) -> dict[str, Any]:
        """What a model serves: Image, and ModelDataUrl and Environment if it has them.

        Raises:
            ServiceError: there is no such model.
        """
        model = self.get(name)
        served: dict[str, Any] = model.get("Served") or _container(model)
        return served

    def _served(self, container: dict[str, Any]) -> dict[str, Any]:
        """The container with what its model package says; the model's own variables go before the package's."""
        if "ModelPackageName" in container:
            package = container["ModelPackageName"]
            of_package = self._packages.containers(package)
            if len(of_package) != 1:
                raise validation_error(
                    f"Model package {package} has {len(of_package)} containers; this stand-in serves one."
                )
            environment = of_package[0].get("Environment", {}) | container.get("Environment", {})
            container = of_package[0] | {"Environment": environment}
        source = container.get("ModelDataSource", {}).get("S3DataSource")
        if source is None:
            return container
        if source["S3DataType"] != "S3Object" or source["CompressionType"] != "Gzip":
            raise validation_error("ModelDataSource: this stand-in reads an S3Object with CompressionType Gzip only.")
        return container | {"ModelDataUrl": source["S3Uri"]}

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        model_arn = arn(KIND, name)
        served = self._served(_container(request))
        self._require_data(served)
        document = {key: value for key, value in request.items() if key != "Tags"}
        document |= {
            "Served": served,
            "ModelArn": model_arn,
            "CreationTime": time.time(),
            "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        }
        try:
            self._store.insert(KIND, name, document)
        except NameTakenError as error:
            raise validation_error(f'Cannot create already existing model "{model_arn}".') from error
        self._tags.put(model_arn, request.get("Tags", []))
        return {"ModelArn": model_arn}

    def _require_data(self, container: dict[str, Any]) -> None:
        uri = container.get("ModelDataUrl")
        if uri is not None and not self._objects.exists(Location.of(uri)):
            raise validation_error(f"Could not find model data at {uri}.")

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.get(request["ModelName"])

    def _delete(self, request: dict[str, Any]) -> None:
        model = self.get(request["ModelName"])
        self._store.delete(KIND, model["ModelName"])
        self._tags.drop(model["ModelArn"])

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return page(
            self._store.all(KIND),
            request,
            answer="Models",
            name="ModelName",
            members=("ModelName", "ModelArn", "CreationTime"),
        )


def missing(resource_arn: str) -> ServiceError:
    """A model or an endpoint configuration that doesn't exist, in the service's words."""
    kind = resource_arn.split(":")[5].split("/")[0].replace("-", " ").replace("config", "configuration")
    return validation_error(f'Could not find {kind} "{resource_arn}".')


def _container(model: dict[str, Any]) -> dict[str, Any]:
    containers: list[dict[str, Any]] = [
        *([model["PrimaryContainer"]] if "PrimaryContainer" in model else []),
        *model.get("Containers", []),
    ]
    if len(containers) != 1:
        raise validation_error("Exactly one container is served by this stand-in: give PrimaryContainer.")
    if containers[0].get("Mode", "SingleModel") != "SingleModel":
        raise validation_error("Mode MultiModel: this stand-in serves one model a container.")
    if "Image" not in containers[0] and "ModelPackageName" not in containers[0]:
        raise validation_error("A container needs an Image or a ModelPackageName.")
    return containers[0]
