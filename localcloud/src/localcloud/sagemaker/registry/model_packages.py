"""CreateModelPackage, DescribeModelPackage, UpdateModelPackage, DeleteModelPackage and ListModelPackages."""

from __future__ import annotations

import threading
import time
from typing import TypedDict

from localcloud.sagemaker.api.arns import name_of
from localcloud.sagemaker.api.collection import Collection, Kind
from localcloud.sagemaker.api.errors import conflict
from localcloud.sagemaker.api.listing import Page, page
from localcloud.sagemaker.api.protocol import OpaqueAnswer, Operation
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.data.s3 import Location, Objects
from localcloud.sagemaker.registry.documents import (
    MODEL_PACKAGE,
    Container,
    CreateModelPackage,
    ListModelPackages,
    ModelPackage,
    UpdateModelPackage,
)
from localcloud.sagemaker.registry.model_package_groups import ModelPackageGroups
from localcloud.service_model.errors import validation_error

_KIND = Kind(
    name=MODEL_PACKAGE,
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


class _Version(TypedDict, total=False):
    """What a package has as a version of a group."""

    ModelPackageGroupName: str
    ModelPackageVersion: int
    ModelApprovalStatus: str


class ModelPackages:
    """Versions of a group, which the store names ``group/version``, and packages with a name of their own."""

    def __init__(self, store: Store, tags: Tags, groups: ModelPackageGroups, objects: Objects) -> None:
        self._packages = Collection(store, tags, _KIND)
        self._groups = groups
        self._objects = objects
        self._creating = threading.Lock()  # a repeated request waits for the first one's end

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateModelPackage": self._create,
            "DescribeModelPackage": self._packages.describe,
            "UpdateModelPackage": self._update,
            "DeleteModelPackage": self._packages.delete,
            "ListModelPackages": self._list,
        }

    def containers(self, name_or_arn: str) -> list[Container]:
        """Return the containers that a model of this package serves.

        Raises:
            ServiceError: There is no such package, it isn't approved, or it has no InferenceSpecification.
        """
        package = self._packages.get(name_or_arn)
        if package.get("ModelApprovalStatus", "Approved") != "Approved":
            raise validation_error(
                f"Model package {package['ModelPackageArn']} can't be deployed: its ModelApprovalStatus is "
                f"{package['ModelApprovalStatus']}, and has to be Approved."
            )
        if "InferenceSpecification" not in package:
            raise validation_error(f"Model package {package['ModelPackageArn']} has no InferenceSpecification.")
        return package["InferenceSpecification"]["Containers"]

    def _create(self, request: CreateModelPackage) -> OpaqueAnswer:
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
        """Return the ARN of the package that an earlier request with this ClientToken made; None if there is none."""
        packages = self._packages.all() if token is not None else []
        return next((each["ModelPackageArn"] for each in packages if each.get("ClientToken") == token), None)

    def _insert(self, request: CreateModelPackage) -> str:
        if "ModelPackageGroupName" not in request:
            name = request["ModelPackageName"]
            return self._packages.insert(name, self._document(name, request, {}))
        group, number = self._groups.next_version(request["ModelPackageGroupName"])
        version: _Version = {
            "ModelPackageGroupName": group,
            "ModelPackageVersion": number,
            "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
        }
        name = f"{group}/{number}"
        return self._packages.insert(name, self._document(name, request, version))

    def _document(self, name: str, request: CreateModelPackage, version: _Version) -> ModelPackage:
        now = time.time()
        return {
            **request,
            **version,
            "CreationTime": now,
            "LastModifiedTime": now,
            "CreatedBy": {},
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "ModelPackageArn": self._packages.arn(name),
        }

    def _require_data(self, request: CreateModelPackage | UpdateModelPackage) -> None:
        containers = request["InferenceSpecification"]["Containers"] if "InferenceSpecification" in request else []
        for container in containers:
            uri = container.get("ModelDataUrl")
            if uri is not None and not self._objects.exists(Location.of(uri)):
                raise validation_error(f"Could not find model data at {uri}.")

    def _update(self, request: UpdateModelPackage) -> OpaqueAnswer:
        def change(package: ModelPackage) -> None:
            _replace(package, request)
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

    def _list(self, request: ListModelPackages) -> Page:
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


def _replace(package: ModelPackage, request: UpdateModelPackage) -> None:
    if "ModelApprovalStatus" in request:
        package["ModelApprovalStatus"] = request["ModelApprovalStatus"]
    if "ApprovalDescription" in request:
        package["ApprovalDescription"] = request["ApprovalDescription"]
    if "InferenceSpecification" in request:
        package["InferenceSpecification"] = request["InferenceSpecification"]
    if "SourceUri" in request:
        package["SourceUri"] = request["SourceUri"]
    if "ModelLifeCycle" in request:
        package["ModelLifeCycle"] = request["ModelLifeCycle"]
