"""CreateModelPackageGroup, DescribeModelPackageGroup, DeleteModelPackageGroup and ListModelPackageGroups."""

from __future__ import annotations

import time
from typing import Any

from localcloud.sagemaker.api.collection import Collection, Kind
from localcloud.sagemaker.api.errors import conflict, validation_error
from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import Document, Store
from localcloud.sagemaker.api.tags import Tags

_KIND = Kind(
    name="model-package-group",
    prefix="ModelPackageGroup",
    missing=lambda arn: validation_error(f"ModelPackageGroup {arn} does not exist."),
    taken=lambda arn: validation_error(f"Model Package Group already exists: {arn}"),
    summaries="ModelPackageGroupSummaryList",
    summary=(
        *("ModelPackageGroupName", "ModelPackageGroupArn", "ModelPackageGroupDescription", "CreationTime"),
        "ModelPackageGroupStatus",
    ),
    order="Ascending",
)


class ModelPackageGroups:
    """A group numbers the versions of a model. The number of a version that was deleted isn't given again."""

    def __init__(self, store: Store, tags: Tags) -> None:
        self._store = store
        self._groups = Collection[Document](store, tags, _KIND)

    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateModelPackageGroup": self._create,
            "DescribeModelPackageGroup": self._groups.describe,
            "DeleteModelPackageGroup": self._delete,
            "ListModelPackageGroups": self._groups.list,
        }

    def next_version(self, name_or_arn: str) -> tuple[str, int]:
        """The group's name, and the number of its next version, which is now taken.

        Raises:
            ServiceError: there is no such group.
        """

        def count(group: Document) -> None:
            group["Versions"] = group.get("Versions", 0) + 1

        group = self._groups.update(name_or_arn, count)
        return group["ModelPackageGroupName"], group["Versions"]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        document = {key: value for key, value in request.items() if key != "Tags"}
        document |= {"CreationTime": time.time(), "CreatedBy": {}, "ModelPackageGroupStatus": "Completed"}
        group_arn = self._groups.insert(request["ModelPackageGroupName"], document, request.get("Tags", []))
        return {"ModelPackageGroupArn": group_arn}

    def _delete(self, request: dict[str, Any]) -> None:
        group = self._groups.get(request["ModelPackageGroupName"])
        name = group["ModelPackageGroupName"]
        left = [
            each["ModelPackageArn"]
            for each in self._store.all("model-package")
            if each.get("ModelPackageGroupName") == name
        ]
        if left:
            raise conflict(
                f"Model Package Group {group['ModelPackageGroupArn']} cannot be deleted because it still contains "
                f"Model Packages: {', '.join(left)}"
            )
        self._groups.remove(name)
