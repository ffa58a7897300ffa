"""Tuning jobs, as requests and the store have them.

They hold the members that the stand-in reads or writes; further ones of a valid request are kept as they are. Times
are seconds since the epoch.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from localcloud.sagemaker.api.store import DocumentKind
from localcloud.sagemaker.api.tags import Tag
from localcloud.sagemaker.training.documents import AlgorithmSpecification, StoppingCondition


class NumberRange(TypedDict):
    """The ends of an integer or continuous hyperparameter, as text, and the scale on which it is searched."""

    Name: str
    MinValue: str
    MaxValue: str
    ScalingType: NotRequired[str]


class CategoricalRange(TypedDict):
    """The values of a categorical hyperparameter."""

    Name: str
    Values: list[str]


class ParameterRanges(TypedDict, total=False):
    """What is searched."""

    IntegerParameterRanges: list[NumberRange]
    ContinuousParameterRanges: list[NumberRange]
    CategoricalParameterRanges: list[CategoricalRange]
    AutoParameters: list[object]


class Objective(TypedDict):
    """The metric that says which training job is the best: ``Type`` is Maximize or Minimize."""

    Type: str
    MetricName: str


class ResourceLimits(TypedDict):
    """How many training jobs there are at most, and for how long."""

    MaxParallelTrainingJobs: int
    MaxNumberOfTrainingJobs: NotRequired[int]
    MaxRuntimeInSeconds: NotRequired[int]


class TuningConfig(TypedDict):
    """What is searched, how, and for what."""

    Strategy: str
    ResourceLimits: ResourceLimits
    HyperParameterTuningJobObjective: NotRequired[Objective]
    ParameterRanges: NotRequired[ParameterRanges]
    TrainingJobEarlyStoppingType: NotRequired[str]
    RandomSeed: NotRequired[int]


class TrainingJobDefinition(TypedDict):
    """The training jobs, but for their names and the hyperparameters that are searched."""

    AlgorithmSpecification: AlgorithmSpecification
    StoppingCondition: StoppingCondition
    StaticHyperParameters: NotRequired[dict[str, str]]
    DefinitionName: NotRequired[str]


class CreateTuningJob(TypedDict):
    """The request of CreateHyperParameterTuningJob."""

    HyperParameterTuningJobName: str
    HyperParameterTuningJobConfig: TuningConfig
    TrainingJobDefinition: NotRequired[TrainingJobDefinition]
    Tags: NotRequired[list[Tag]]


class TuningJobName(TypedDict):
    """The request of DescribeHyperParameterTuningJob and of StopHyperParameterTuningJob."""

    HyperParameterTuningJobName: str


class ListTrainingJobs(TuningJobName):
    """The request of ListTrainingJobsForHyperParameterTuningJob."""

    StatusEquals: NotRequired[str]
    SortBy: NotRequired[str]
    SortOrder: NotRequired[str]
    MaxResults: NotRequired[int]
    NextToken: NotRequired[str]


class ObjectiveValue(TypedDict):
    """The value of the objective metric that a training job ended with."""

    Type: str
    MetricName: str
    Value: float


class TrainingJobSummary(TypedDict):
    """A training job of a tuning job, as answers have it."""

    TrainingJobName: str
    TrainingJobArn: str
    CreationTime: float
    TrainingJobStatus: str
    TunedHyperParameters: dict[str, str]
    ObjectiveStatus: str
    TrainingJobDefinitionName: NotRequired[str]
    TrainingStartTime: NotRequired[float]
    TrainingEndTime: NotRequired[float]
    FailureReason: NotRequired[str]
    FinalHyperParameterTuningJobObjectiveMetric: NotRequired[ObjectiveValue]


class Progress(TypedDict):
    """How far a tuning job is."""

    TrainingJobStatusCounters: dict[str, int]
    ObjectiveStatusCounters: dict[str, int]
    BestTrainingJob: NotRequired[TrainingJobSummary]


class Status(TypedDict):
    """The status, and since when.

    ``Ended`` is the progress that the job ended with: training jobs can be deleted afterwards.
    """

    HyperParameterTuningJobStatus: str
    CreationTime: float
    LastModifiedTime: float
    HyperParameterTuningEndTime: NotRequired[float]
    FailureReason: NotRequired[str]
    Ended: NotRequired[Progress]


class TuningJob(CreateTuningJob, Status):
    """A tuning job's document. ``Seed`` is the RandomSeed, or one that was drawn."""

    HyperParameterTuningJobArn: str
    Seed: int


TUNING_JOB = DocumentKind[TuningJob]("hyper-parameter-tuning-job")
