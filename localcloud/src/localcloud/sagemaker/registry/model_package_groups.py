"""CreateModelPackageGroup, DescribeModelPackageGroup, DeleteModelPackageGroup and ListModelPackageGroups."""

from __future__ import annotations

import time

from localcloud.sagemaker.api.collection import Collection, Kind
from localcloud.sagemaker.api.errors import conflict
from localcloud.sagemaker.api.protocol import OpaqueAnswer, Operation
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.registry.documents import (
    MODEL_PACKAGE,
    MODEL_PACKAGE_GROUP,
    CreateModelPackageGroup,
    DeleteModelPackageGroup,
    ModelPackageGroup,
)
from localcloud.service_model.errors import validation_error

_KIND = Kind(
    name=MODEL_PACKAGE_GROUP,
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
    """A group numbers the versions of a model. The number of a deleted version isn't used again."""

    def __init__(self, store: Store, tags: Tags) -> None:
        self._store = store
        self._groups = Collection(store, tags, _KIND)

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateModelPackageGroup": self._create,
            "DescribeModelPackageGroup": self._groups.describe,
            "DeleteModelPackageGroup": self._delete,
            "ListModelPackageGroups": self._groups.list,
        }

    def next_version(self, name_or_arn: str) -> tuple[str, int]:
        """Take the number of a group's next version; return the group's name and the number.

        Raises:
            ServiceError: There is no such group.
        """

        def count(group: ModelPackageGroup) -> None:
            group["Versions"] = group.get("Versions", 0) + 1

        group = self._groups.update(name_or_arn, count)
        return group["ModelPackageGroupName"], group["Versions"]

    def _create(self, request: CreateModelPackageGroup) -> OpaqueAnswer:
        name = request["ModelPackageGroupName"]
        group: ModelPackageGroup = {
            **request,
            "CreationTime": time.time(),
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
            "Versions": 0,
            "ModelPackageGroupArn": self._groups.arn(name),
        }
        return {"ModelPackageGroupArn": self._groups.insert(name, group)}

    def _delete(self, request: DeleteModelPackageGroup) -> None:
        group = self._groups.get(request["ModelPackageGroupName"])
        name = group["ModelPackageGroupName"]
        left = [
            each["ModelPackageArn"]
            for each in self._store.all(MODEL_PACKAGE)
            if each.get("ModelPackageGroupName") == name
        ]
        if left:
            raise conflict(
                f"Model Package Group {group['ModelPackageGroupArn']} cannot be deleted because it still contains "
                f"Model Packages: {', '.join(left)}"
            )
        self._groups.remove(name)
