"""CreateEndpointConfig, DescribeEndpointConfig, DeleteEndpointConfig and ListEndpointConfigs."""

from __future__ import annotations

import time
from typing import Any

from localcloud.sagemaker.api.collection import Collection, Kind, already_existing, could_not_find
from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import Document, Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.hosting import production_variants
from localcloud.sagemaker.registry.models import Models

_KIND = Kind(
    name="endpoint-config",
    prefix="EndpointConfig",
    missing=could_not_find("endpoint configuration"),
    taken=already_existing("endpoint configuration"),
    summaries="EndpointConfigs",
    summary=("EndpointConfigName", "EndpointConfigArn", "CreationTime"),
)


class EndpointConfigs:
    """An endpoint configuration: the production variants, each a model with a weight.

    It is never changed. It may be deleted while endpoints use it: they keep what they have taken from it.
    """

    def __init__(self, store: Store, tags: Tags, models: Models) -> None:
        self._configs = Collection[Document](store, tags, _KIND)
        self._models = models

    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateEndpointConfig": self._create,
            "DescribeEndpointConfig": self._configs.describe,
            "DeleteEndpointConfig": self._configs.delete,
            "ListEndpointConfigs": self._configs.list,
        }

    def get(self, name: str) -> Document:
        """The configuration.

        Raises:
            ServiceError: there is none.
        """
        return self._configs.get(name)

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        production_variants.check(request)
        for variant in request["ProductionVariants"]:
            self._models.get(variant["ModelName"])
        document = {key: value for key, value in request.items() if key != "Tags"}
        document["CreationTime"] = time.time()
        document["ProductionVariants"] = [
            {"InitialVariantWeight": 1.0} | variant for variant in request["ProductionVariants"]
        ]
        config_arn = self._configs.insert(request["EndpointConfigName"], document, request.get("Tags", []))
        return {"EndpointConfigArn": config_arn}
