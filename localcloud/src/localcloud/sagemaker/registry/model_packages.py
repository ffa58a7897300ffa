"""CreateModelPackage, DescribeModelPackage, UpdateModelPackage, DeleteModelPackage and ListModelPackages."""

from __future__ import annotations

import threading
import time
from typing import Any

from localcloud.sagemaker.api.collection import Collection, Kind, name_of
from localcloud.sagemaker.api.errors import conflict, validation_error
from localcloud.sagemaker.api.listing import page
from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import Document, Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.data.s3 import Location, Objects
from localcloud.sagemaker.registry.model_package_groups import ModelPackageGroups

_KIND = Kind(
    name="model-package",
    prefix="ModelPackage",
    missing=lambda arn: validation_error(f"ModelPackage {arn} does not exist."),
    taken=lambda arn: conflict(f"Model Package already exists: {arn}"),
    summaries="ModelPackageSummaryList",
    summary=(
        *("ModelPackageName", "ModelPackageGroupName", "ModelPackageVersion", "ModelPackageArn"),
        *("ModelPackageDescription", "CreationTime", "ModelPackageStatus", "ModelApprovalStatus"),
    ),
    order="Ascending",
)

_REPLACED = ("ModelApprovalStatus", "ApprovalDescription", "InferenceSpecification", "SourceUri", "ModelLifeCycle")


class ModelPackages:
    """Versions of a group, named ``group/version`` here, and packages with a name of their own."""

    def __init__(self, store: Store, tags: Tags, groups: ModelPackageGroups, objects: Objects) -> None:
        self._packages = Collection[Document](store, tags, _KIND)
        self._groups = groups
        self._objects = objects
        self._creating = threading.Lock()  # a request that is sent again while the first runs waits for it

    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateModelPackage": self._create,
            "DescribeModelPackage": self._packages.describe,
            "UpdateModelPackage": self._update,
            "DeleteModelPackage": self._packages.delete,
            "ListModelPackages": self._list,
        }

    def containers(self, name_or_arn: str) -> list[dict[str, Any]]:
        """The containers that a model made of the package serves.

        Raises:
            ServiceError: there is no such package, it isn't approved, or it says nothing of inference.
        """
        package = self._packages.get(name_or_arn)
        if package.get("ModelApprovalStatus", "Approved") != "Approved":
            raise validation_error(
                f"Model package {package['ModelPackageArn']} can't be deployed: its ModelApprovalStatus is "
                f"{package['ModelApprovalStatus']}, and has to be Approved."
            )
        if "InferenceSpecification" not in package:
            raise validation_error(f"Model package {package['ModelPackageArn']} has no InferenceSpecification.")
        containers: list[dict[str, Any]] = package["InferenceSpecification"]["Containers"]
        return containers

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        group, name = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
        if group is not None and name is not None:
            raise validation_error(
                "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
                "Cannot determine which one to use."
            )
        if group is None and name is None:
            raise validation_error("Missing ARN.")
        if group is not None and request.get("Tags"):
            raise validation_error("Tags can't be given to a model package version: tag its group.")
        self._require_data(request)
        with self._creating:
            package_arn = self._created_before(request.get("ClientToken")) or self._insert(request)
        return {"ModelPackageArn": package_arn}

    def _created_before(self, token: str | None) -> str | None:
        """The ARN of the package that this token's request has made, when it is sent again."""
        packages = self._packages.all() if token is not None else []
        return next((each["ModelPackageArn"] for each in packages if each.get("ClientToken") == token), None)

    def _insert(self, request: dict[str, Any]) -> str:
        group, name = request.get("ModelPackageGroupName"), request.get("ModelPackageName")
        document = {key: value for key, value in request.items() if key != "Tags"}
        if group is not None:
            group_name, version = self._groups.next_version(group)
            name = f"{group_name}/{version}"
            document |= {"ModelPackageGroupName": group_name, "ModelPackageVersion": version}
            document.setdefault("ModelApprovalStatus", "PendingManualApproval")
        now = time.time()
        document |= {
            "CreationTime": now,
            "LastModifiedTime": now,
            "CreatedBy": {},
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        }
        return self._packages.insert(str(name), document, request.get("Tags", []))

    def _require_data(self, request: dict[str, Any]) -> None:
        for container in request.get("InferenceSpecification", {}).get("Containers", []):
            uri = container.get("ModelDataUrl")
            if uri is not None and not self._objects.exists(Location.of(uri)):
                raise validation_error(f"Could not find model data at {uri}.")

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        def change(package: Document) -> None:
            package |= {member: request[member] for member in _REPLACED if member in request}
            kept = package.get("CustomerMetadataProperties", {}) | request.get("CustomerMetadataProperties", {})
            for key in request.get("CustomerMetadataPropertiesToRemove", []):
                kept.pop(key, None)
            if kept or "CustomerMetadataProperties" in package:
                package["CustomerMetadataProperties"] = kept
            if "AdditionalInferenceSpecificationsToAdd" in request:
                package["AdditionalInferenceSpecifications"] = [
                    *package.get("AdditionalInferenceSpecifications", []),
                    *request["AdditionalInferenceSpecificationsToAdd"],
                ]
            package["LastModifiedTime"] = time.time()

        self._require_data(request)
        return {"ModelPackageArn": self._packages.update(request["ModelPackageArn"], change)["ModelPackageArn"]}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        group = request.get("ModelPackageGroupName")
        versioned = group is not None or request.get("ModelPackageType", "Unversioned") == "Versioned"
        approval = request.get("ModelApprovalStatus")
        both = request.get("ModelPackageType") == "Both"
        chosen = (
            package
            for package in self._packages.all()
            if (both or ("ModelPackageVersion" in package) == versioned)
            and approval in (None, package.get("ModelApprovalStatus"))
            and (group is None or package.get("ModelPackageGroupName", "").lower() == name_of(group).lower())
        )
        return page(
            chosen,
            request,
            answer=_KIND.summaries,
            name="ModelPackageArn",  # a version has no name
            members=_KIND.summary,
            order=_KIND.order,
        )
