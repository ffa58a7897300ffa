"""CreateModel, DescribeModel, DeleteModel and ListModels."""

from __future__ import annotations

import time

from localcloud.sagemaker.api.collection import Collection, Kind, already_existing, could_not_find
from localcloud.sagemaker.api.protocol import OpaqueAnswer, Operation
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.data.s3 import Location, Objects
from localcloud.sagemaker.registry.documents import MODEL, Container, CreateModel, Model
from localcloud.sagemaker.registry.model_packages import ModelPackages
from localcloud.service_model.errors import validation_error

_KIND = Kind(
    name=MODEL,
    prefix="Model",
    missing=could_not_find("model"),
    taken=already_existing("model"),
    summaries="Models",
    summary=("ModelName", "ModelArn", "CreationTime"),
)


class Models:
    """Models: each an image, the archive that it serves, and its environment."""

    def __init__(self, store: Store, tags: Tags, objects: Objects, packages: ModelPackages) -> None:
        self._models = Collection(store, tags, _KIND)
        self._objects = objects
        self._packages = packages

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateModel": self._create,
            "DescribeModel": self._models.describe,
            "DeleteModel": self._models.delete,
            "ListModels": self._models.list,
        }

    def get(self, name: str) -> Model:
        """Return the model.

        Raises:
            ServiceError: There is none.
        """
        return self._models.get(name)

    def container(self, name: str) -> Container:
        """Return the container that a model serves, which has an image.

        Raises:
            ServiceError: There is no such model.
        """
        model = self.get(name)
        return model["Served"] if "Served" in model else _container(model)

    def _served(self, container: Container) -> Container:
        """Return the container with what its model package gives; the model's own variables take precedence."""
        if "ModelPackageName" in container:
            package = container["ModelPackageName"]
            of_package = self._packages.containers(package)
            if len(of_package) != 1:
                raise validation_error(
                    f"Model package {package} has {len(of_package)} containers; this stand-in serves one."
                )
            environment = of_package[0].get("Environment", {}) | container.get("Environment", {})
            container = {**of_package[0], "Environment": environment}
        if "S3DataSource" not in container.get("ModelDataSource", {}):
            return container
        source = container["ModelDataSource"]["S3DataSource"]
        if source["S3DataType"] != "S3Object" or source["CompressionType"] != "Gzip":
            raise validation_error("ModelDataSource: this stand-in reads an S3Object with CompressionType Gzip only.")
        return {**container, "ModelDataUrl": source["S3Uri"]}

    def _create(self, request: CreateModel) -> OpaqueAnswer:
        served = self._served(_container(request))
        self._require_data(served)
        model: Model = {
            **request,
            "Served": served,
            "CreationTime": time.time(),
            "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
            "ModelArn": self._models.arn(request["ModelName"]),
        }
        return {"ModelArn": self._models.insert(request["ModelName"], model)}

    def _require_data(self, container: Container) -> None:
        uri = container.get("ModelDataUrl")
        if uri is not None and not self._objects.exists(Location.of(uri)):
            raise validation_error(f"Could not find model data at {uri}.")


def _container(model: CreateModel) -> Container:
    containers = [
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
