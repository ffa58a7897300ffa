"""CreateModel, DescribeModel, DeleteModel and ListModels."""

from __future__ import annotations

import time
from typing import Any

from localcloud.sagemaker.arns import arn
from localcloud.sagemaker.errors import ServiceError, validation_error
from localcloud.sagemaker.listing import page
from localcloud.sagemaker.protocol import Operation
from localcloud.sagemaker.s3 import Location, Objects
from localcloud.sagemaker.store import Document, MissingResourceError, NameTakenError, Store
from localcloud.sagemaker.tags import Tags

KIND = "model"


class Models:
    """A model: an image, the archive it serves, and its environment."""

    def __init__(self, store: Store, tags: Tags, objects: Objects) -> None:
        self._store = store
        self._tags = tags
        self._objects = objects

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

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelName"]
        model_arn = arn(KIND, name)
        for container in _containers(request):
            self._require_data(container)
        document = {key: value for key, value in request.items() if key != "Tags"}
        document |= {
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


def _containers(request: dict[str, Any]) -> list[dict[str, Any]]:
    containers = [
        *([request["PrimaryContainer"]] if "PrimaryContainer" in request else []),
        *request.get("Containers", []),
    ]
    if len(containers) != 1:
        raise validation_error("Exactly one container is served by this stand-in: give PrimaryContainer.")
    if "Image" not in containers[0]:
        raise validation_error("PrimaryContainer needs an Image; model packages aren't known to this stand-in.")
    return containers
