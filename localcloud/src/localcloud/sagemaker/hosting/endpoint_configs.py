"""CreateEndpointConfig, DescribeEndpointConfig, DeleteEndpointConfig and ListEndpointConfigs."""

from __future__ import annotations

import time
from typing import Any

from localcloud.sagemaker.api.arns import arn
from localcloud.sagemaker.api.errors import validation_error
from localcloud.sagemaker.api.listing import page
from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import Document, MissingResourceError, NameTakenError, Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.hosting import production_variants
from localcloud.sagemaker.registry.models import Models, missing

KIND = "endpoint-config"


class EndpointConfigs:
    """An endpoint configuration: the production variants, each a model with a weight.

    It is never changed. It may be deleted while endpoints use it: they keep what they have taken from it.
    """

    def __init__(self, store: Store, tags: Tags, models: Models) -> None:
        self._store = store
        self._tags = tags
        self._models = models

    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateEndpointConfig": self._create,
            "DescribeEndpointConfig": self._describe,
            "DeleteEndpointConfig": self._delete,
            "ListEndpointConfigs": self._list,
        }

    def get(self, name: str) -> Document:
        """The configuration.

        Raises:
            ServiceError: there is none.
        """
        try:
            return self._store.get(KIND, name)
        except MissingResourceError as error:
            raise missing(arn(KIND, name)) from error

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        config_arn = arn(KIND, name)
        production_variants.check(request)
        for variant in request["ProductionVariants"]:
            self._models.get(variant["ModelName"])
        document = {key: value for key, value in request.items() if key != "Tags"}
        document |= {"EndpointConfigArn": config_arn, "CreationTime": time.time()}
        document["ProductionVariants"] = [
            {"InitialVariantWeight": 1.0} | variant for variant in request["ProductionVariants"]
        ]
        try:
            self._store.insert(KIND, name, document)
        except NameTakenError as error:
            raise validation_error(f'Cannot create already existing endpoint configuration "{config_arn}".') from error
        self._tags.put(config_arn, request.get("Tags", []))
        return {"EndpointConfigArn": config_arn}

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.get(request["EndpointConfigName"])

    def _delete(self, request: dict[str, Any]) -> None:
        config = self.get(request["EndpointConfigName"])
        self._store.delete(KIND, config["EndpointConfigName"])
        self._tags.drop(config["EndpointConfigArn"])

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return page(
            self._store.all(KIND),
            request,
            answer="EndpointConfigs",
            name="EndpointConfigName",
            members=("EndpointConfigName", "EndpointConfigArn", "CreationTime"),
        )
