"""Training jobs, as requests and the store have them.

They hold the members that the stand-in reads or writes; further ones of a valid request are kept as they are. Times
are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from localcloud.sagemaker.api.store import DocumentKind
from localcloud.sagemaker.api.tags import Tag
from localcloud.sagemaker.data.data_sources import DataSource
from localcloud.sagemaker.jobs.metrics import FinalMetric, MetricDefinitionMember


class Channel(TypedDict):
    """A named part of a job's input."""

    ChannelName: str
    DataSource: DataSource
    InputMode: NotRequired[str]
    ContentType: NotRequired[str]
    CompressionType: NotRequired[str]
    RecordWrapperType: NotRequired[str]


class AlgorithmSpecification(TypedDict):
    """The container of a job."""

    TrainingInputMode: str
    TrainingImage: NotRequired[str]
    MetricDefinitions: NotRequired[list[MetricDefinitionMember]]
    EnableSageMakerMetricsTimeSeries: NotRequired[bool]


class ResourceConfig(TypedDict, total=False):
    """The instances of a job."""

    InstanceType: str
    InstanceCount: int
    VolumeSizeInGB: int


class StoppingCondition(TypedDict, total=False):
    """The limits of a job's time, in seconds."""

    MaxRuntimeInSeconds: int
    MaxWaitTimeInSeconds: int


class OutputDataConfig(TypedDict):
    """Where a job's output goes."""

    S3OutputPath: str
    CompressionType: NotRequired[str]


class CheckpointConfig(TypedDict):
    """Where a job's checkpoints are."""

    S3Uri: str


class CreateTrainingJob(TypedDict):
    """The request of CreateTrainingJob."""

    TrainingJobName: str
    RoleArn: str
    OutputDataConfig: OutputDataConfig
    AlgorithmSpecification: NotRequired[AlgorithmSpecification]
    ResourceConfig: NotRequired[ResourceConfig]
    InputDataConfig: NotRequired[list[Channel]]
    HyperParameters: NotRequired[dict[str, str]]
    StoppingCondition: NotRequired[StoppingCondition]
    CheckpointConfig: NotRequired[CheckpointConfig]
    Environment: NotRequired[dict[str, str]]
    EnableNetworkIsolation: NotRequired[bool]
    EnableInterContainerTrafficEncryption: NotRequired[bool]
    EnableManagedSpotTraining: NotRequired[bool]
    Tags: NotRequired[list[Tag]]


class StopTrainingJob(TypedDict):
    """The request of StopTrainingJob."""

    TrainingJobName: str


class Transition(TypedDict):
    """A secondary status that a job has had, from when to when."""

    Status: str
    StartTime: float
    StatusMessage: str
    EndTime: NotRequired[float]


class Progress(TypedDict):
    """How far a job is, and what it has produced; `status` changes all but the metrics."""

    TrainingJobStatus: str
    SecondaryStatus: str
    LastModifiedTime: float
    SecondaryStatusTransitions: list[Transition]
    TrainingStartTime: NotRequired[float]
    TrainingEndTime: NotRequired[float]
    TrainingTimeInSeconds: NotRequired[int]
    BillableTimeInSeconds: NotRequired[int]
    FailureReason: NotRequired[str]
    FinalMetricDataList: NotRequired[list[FinalMetric]]


class ModelArtifacts(TypedDict):
    """Where the model is, or will be."""

    S3ModelArtifacts: str


class Tuned(TypedDict, total=False):
    """What only the training job of a tuning job has: what was searched, and the point at which that is."""

    TuningJobArn: str
    TunedHyperParameters: dict[str, str]
    TuningPoint: Sequence[float]


class TrainingJob(CreateTrainingJob, Progress, Tuned):
    """A training job's document."""

    TrainingJobArn: str
    CreationTime: float
    ModelArtifacts: ModelArtifacts


TRAINING_JOB = DocumentKind[TrainingJob]("training-job")
