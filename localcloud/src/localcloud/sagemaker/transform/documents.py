"""Transform jobs, as requests, the store and the job's process have them.

They hold the members that the stand-in reads or writes; further ones of a valid request are kept as they are. Times
are seconds since the epoch.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from localcloud.sagemaker.api.store import DocumentKind
from localcloud.sagemaker.api.tags import Tag
from localcloud.sagemaker.data.data_sources import S3DataSource
from localcloud.sagemaker.registry.documents import Container


class TransformDataSource(TypedDict):
    """Where the input is."""

    S3DataSource: S3DataSource


class TransformInput(TypedDict):
    """The input, and how it is cut into records."""

    DataSource: TransformDataSource
    ContentType: NotRequired[str]
    CompressionType: NotRequired[str]
    SplitType: NotRequired[str]


class TransformOutput(TypedDict):
    """Where the output goes, and how it is assembled."""

    S3OutputPath: str
    Accept: NotRequired[str]
    AssembleWith: NotRequired[str]


class TransformResources(TypedDict):
    """The instances of a job."""

    InstanceType: str
    InstanceCount: int


class DataProcessing(TypedDict, total=False):
    """Which parts of records and answers are sent, joined and kept."""

    InputFilter: str
    OutputFilter: str
    JoinSource: str


class Transformation(TypedDict):
    """What is transformed, and into what."""

    TransformInput: TransformInput
    TransformOutput: TransformOutput
    DataProcessing: NotRequired[DataProcessing]


class CreateTransformJob(Transformation):
    """The request of CreateTransformJob."""

    TransformJobName: str
    ModelName: str
    TransformResources: TransformResources
    BatchStrategy: NotRequired[str]
    MaxPayloadInMB: NotRequired[int]
    MaxConcurrentTransforms: NotRequired[int]
    Environment: NotRequired[dict[str, str]]
    Tags: NotRequired[list[Tag]]


class StopTransformJob(TypedDict):
    """The request of StopTransformJob."""

    TransformJobName: str


class Progress(TypedDict):
    """How far a job is."""

    TransformJobStatus: str
    CreationTime: float
    LastModifiedTime: float
    TransformStartTime: NotRequired[float]
    TransformEndTime: NotRequired[float]
    FailureReason: NotRequired[str]


class TransformJob(CreateTransformJob, Progress):
    """A transform job's document. ``Served`` is the container of its model."""

    TransformJobArn: str
    Served: Container


class Settings(TypedDict):
    """What a job may leave open, as it is for the process."""

    BatchStrategy: str
    MaxPayloadInMB: int
    MaxConcurrentTransforms: int
    Environment: dict[str, str]


class Plan(Transformation, Settings):
    """What the process of a job does."""

    Image: str


TRANSFORM_JOB = DocumentKind[TransformJob]("transform-job")
