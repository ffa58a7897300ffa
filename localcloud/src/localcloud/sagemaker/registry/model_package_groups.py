"""CreateModelPackageGroup, DescribeModelPackageGroup, DeleteModelPackageGroup and ListModelPackageGroups."""

from __future__ import annotations

import time
from typing import Any

from localcloud.sagemaker.api.arns import arn
from localcloud.sagemaker.api.errors import ServiceError, conflict, validation_error
from localcloud.sagemaker.api.listing import page
from localcloud.sagemaker.api.protocol import Operation
from localcloud.sagemaker.api.store import Document, MissingResourceError, NameTakenError, Store
from localcloud.sagemaker.api.tags import Tags

KIND = "model-package-group"


class ModelPackageGroups:
    """A group numbers the versions of a model. The number of a version that was deleted isn't given again."""

    def __init__(self, store: Store, tags: Tags) -> None:
        self._store = store
        self._tags = tags

    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateModelPackageGroup": self._create,
            "DescribeModelPackageGroup": self._describe,
            "DeleteModelPackageGroup": self._delete,
            "ListModelPackageGroups": self._list,
        }

    def next_version(self, name_or_arn: str) -> tuple[str, int]:
        """The group's name, and the number of its next version, which is now taken.

        Raises:
            ServiceError: there is no such group.
        """

        def count(group: Document) -> None:
            group["Versions"] = group.get("Versions", 0) + 1

        name = name_of(name_or_arn)
        try:
            group = self._store.update(KIND, name, count)
        except MissingResourceError as error:
            raise _missing(name) from error
        return group["ModelPackageGroupName"], group["Versions"]

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        group_arn = arn(KIND, name)
        document = {key: value for key, value in request.items() if key != "Tags"}
        document |= {
            "ModelPackageGroupArn": group_arn,
            "CreationTime": time.time(),
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
        }
        try:
            self._store.insert(KIND, name, document)
        except NameTakenError as error:
            raise validation_error(f"Model Package Group already exists: {group_arn}") from error
        self._tags.put(group_arn, request.get("Tags", []))
        return {"ModelPackageGroupArn": group_arn}

    def _get(self, name_or_arn: str) -> Document:
        name = name_of(name_or_arn)
        try:
            return self._store.get(KIND, name)
        except MissingResourceError as error:
            raise _missing(name) from error

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._get(request["ModelPackageGroupName"])

    def _delete(self, request: dict[str, Any]) -> None:
        group = self._get(request["ModelPackageGroupName"])
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
        self._store.delete(KIND, name)
        self._tags.drop(group["ModelPackageGroupArn"])

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return page(
            self._store.all(KIND),
            request,
            answer="ModelPackageGroupSummaryList",
            name="ModelPackageGroupName",
            members=(
                *("ModelPackageGroupName", "ModelPackageGroupArn", "ModelPackageGroupDescription", "CreationTime"),
                "ModelPackageGroupStatus",
            ),
            order="Ascending",
        )


def name_of(name_or_arn: str) -> str:
    """The name in what may be an ARN; ``group/version`` stays together."""
    return name_or_arn.partition("/")[2] if name_or_arn.startswith("arn:") else name_or_arn


def _missing(name: str) -> ServiceError:
    return validation_error(f"ModelPackageGroup {arn(KIND, name)} does not exist.")
