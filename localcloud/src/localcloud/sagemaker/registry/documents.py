"""Models, model packages and their groups, as requests and the store have them.

They hold the members that the stand-in reads or writes; further ones of a valid request are kept as they are. Times
are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from localcloud.sagemaker.api.store import DocumentKind
from localcloud.sagemaker.api.tags import Tag

OpaqueSpecification = Mapping[str, Any]
"""A specification that is kept and shown, but not read."""


class S3ModelDataSource(TypedDict):
    """Where an archive is, and of which form."""

    S3Uri: str
    S3DataType: str
    CompressionType: str


class ModelDataSource(TypedDict, total=False):
    """The other way to name an archive, beside ModelDataUrl."""

    S3DataSource: S3ModelDataSource


class Container(TypedDict, total=False):
    """A container of a model or of a model package. A model's may name a package in place of an image."""

    Image: str
    Mode: str
    ModelDataUrl: str
    ModelDataSource: ModelDataSource
    Environment: dict[str, str]
    ModelPackageName: str


class CreateModel(TypedDict):
    """The request of CreateModel."""

    ModelName: str
    PrimaryContainer: NotRequired[Container]
    Containers: NotRequired[list[Container]]
    EnableNetworkIsolation: NotRequired[bool]
    Tags: NotRequired[list[Tag]]


class Model(CreateModel):
    """A model's document. ``Served`` is its one container with what its model package gives."""

    ModelArn: str
    CreationTime: float
    Served: NotRequired[Container]


class CreateModelPackageGroup(TypedDict):
    """The request of CreateModelPackageGroup."""

    ModelPackageGroupName: str
    ModelPackageGroupDescription: NotRequired[str]
    Tags: NotRequired[list[Tag]]


class ModelPackageGroup(CreateModelPackageGroup):
    """A group's document. ``Versions`` is the number of its newest version; it is missing in early documents."""

    ModelPackageGroupArn: str
    ModelPackageGroupStatus: str
    CreationTime: float
    CreatedBy: Mapping[str, str]
    Versions: NotRequired[int]


class DeleteModelPackageGroup(TypedDict):
    """The request of DeleteModelPackageGroup."""

    ModelPackageGroupName: str


class InferenceSpecification(TypedDict):
    """How a model package is served."""

    Containers: list[Container]


class _ReplaceableMembers(TypedDict, total=False):
    """What UpdateModelPackage replaces as a whole."""

    ModelApprovalStatus: str
    ApprovalDescription: str
    InferenceSpecification: InferenceSpecification
    SourceUri: str
    ModelLifeCycle: Mapping[str, str]


class CreateModelPackage(_ReplaceableMembers, total=False):
    """The request of CreateModelPackage."""

    ModelPackageName: str
    ModelPackageGroupName: str
    ClientToken: str
    CustomerMetadataProperties: dict[str, str]
    AdditionalInferenceSpecifications: list[OpaqueSpecification]
    Tags: list[Tag]


class ModelPackage(CreateModelPackage):
    """A model package's document; one of a group has a version, and no name of its own."""

    ModelPackageArn: str
    ModelPackageVersion: NotRequired[int]
    ModelPackageStatus: str
    ModelPackageStatusDetails: Mapping[str, list[Mapping[str, str]]]
    CreationTime: float
    LastModifiedTime: float
    CreatedBy: Mapping[str, str]


class UpdateModelPackage(_ReplaceableMembers):
    """The request of UpdateModelPackage."""

    ModelPackageArn: str
    CustomerMetadataProperties: NotRequired[dict[str, str]]
    CustomerMetadataPropertiesToRemove: NotRequired[list[str]]
    AdditionalInferenceSpecificationsToAdd: NotRequired[list[OpaqueSpecification]]


class ListModelPackages(TypedDict, total=False):
    """The request of ListModelPackages, without what all List operations share."""

    ModelPackageGroupName: str
    ModelPackageType: str
    ModelApprovalStatus: str


MODEL = DocumentKind[Model]("model")
MODEL_PACKAGE = DocumentKind[ModelPackage]("model-package")
MODEL_PACKAGE_GROUP = DocumentKind[ModelPackageGroup]("model-package-group")
