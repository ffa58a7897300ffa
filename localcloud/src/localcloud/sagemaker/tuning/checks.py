"""What CreateHyperParameterTuningJob refuses, beside what the service model does."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.tuning.documents import CreateTuningJob, ResourceLimits, TrainingJobDefinition, TuningConfig
from localcloud.sagemaker.tuning.ranges import Categories, Range, ranges_of
from localcloud.sagemaker.tuning.strategies import STRATEGIES
from localcloud.service_model.errors import ServiceError, validation_error

# The quotas of an account, at their highest (AWS General Reference, "Amazon SageMaker endpoints and quotas").
_MOST_JOBS, _MOST_PARALLEL = 750, 100
_MOST_SEARCHED = 30  # API reference, ParameterRanges; each value of a categorical one counts
_UNKNOWN = {
    "TrainingJobDefinitions": "several training job definitions",
    "WarmStartConfig": "a warm start",
    "Autotune": "Autotune",
}
_UNKNOWN_OF_CONFIG = {
    "StrategyConfig": "the Hyperband strategy",
    "TuningJobCompletionCriteria": "completion criteria other than ResourceLimits",
}
_UNKNOWN_OF_DEFINITION = {
    "TuningObjective": "several training job definitions",
    "HyperParameterRanges": "several training job definitions",
    "HyperParameterTuningResourceConfig": "HyperParameterTuningResourceConfig; give a ResourceConfig",
    "RetryStrategy": "a RetryStrategy",
}


def check(request: CreateTuningJob) -> None:
    """Refuse a request that the service would refuse, or that this stand-in can't carry out.

    Raises:
        ServiceError: ValidationException, or ResourceLimitExceeded.
    """
    for fault in _missing_here(request):
        raise validation_error(fault)
    config, definition = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
    ranges = ranges_of(config["ParameterRanges"])
    if not ranges:
        raise validation_error("ParameterRanges must have at least one hyperparameter.")
    _check_limits(config["ResourceLimits"])
    _check_ranges(config, ranges)
    _check_objective(config, definition)
    _check_hyperparameters(definition, ranges)


def _missing_here(request: CreateTuningJob) -> Iterator[str]:
    """Yield why the request has, or lacks, something that this stand-in doesn't know or needs."""
    config = request["HyperParameterTuningJobConfig"]
    for owner, unknown in ((request, _UNKNOWN), (config, _UNKNOWN_OF_CONFIG)):
        yield from (
            f"This stand-in doesn't know {what} ({member})." for member, what in unknown.items() if member in owner
        )
    if "TrainingJobDefinition" not in request:
        yield "A TrainingJobDefinition is required."
    definition = request["TrainingJobDefinition"]
    for member, what in _UNKNOWN_OF_DEFINITION.items():
        if member in definition:
            yield f"This stand-in doesn't know {what} ({member})."
    if config["Strategy"] not in STRATEGIES:
        yield f"This stand-in has no strategy {config['Strategy']}; it has {', '.join(STRATEGIES)}."
    if config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
        yield "This stand-in doesn't stop training jobs early; TrainingJobEarlyStoppingType must be Off."
    for member in ("HyperParameterTuningJobObjective", "ParameterRanges"):
        if member not in config:
            yield f"HyperParameterTuningJobConfig needs the member {member}."
    if "AutoParameters" in config["ParameterRanges"]:
        yield "This stand-in doesn't know Autotune (AutoParameters)."


def _check_limits(limits: ResourceLimits) -> None:
    most, parallel = limits.get("MaxNumberOfTrainingJobs", 1), limits["MaxParallelTrainingJobs"]
    for value, limit, what in (
        (most, _MOST_JOBS, "training jobs"),
        (parallel, _MOST_PARALLEL, "parallel training jobs"),
    ):
        if value > limit:
            raise ServiceError(
                "ResourceLimitExceeded",
                f"The account-level service limit 'Maximum number of {what} per hyperparameter tuning job' is {limit}, "
                f"with a request of {value}.",
            )
    if "MaxNumberOfTrainingJobs" in limits and parallel > most:
        raise validation_error(
            f"MaxParallelTrainingJobs, [{parallel}], must be less than or equal to MaxNumberOfTrainingJobs, [{most}]."
        )


def _check_ranges(config: TuningConfig, ranges: Sequence[Range]) -> None:
    strategy, limits = config["Strategy"], config["ResourceLimits"]
    searched = sum(int(each.count) if isinstance(each, Categories) else 1 for each in ranges)
    if searched > _MOST_SEARCHED:
        raise validation_error(
            f"The number of hyperparameters to search, each categorical value counted, is [{searched}]; it must not "
            f"exceed {_MOST_SEARCHED}."
        )
    combinations, most = math.prod(each.count for each in ranges), limits.get("MaxNumberOfTrainingJobs")
    if strategy == "Grid":
        if not all(isinstance(each, Categories) for each in ranges):
            raise validation_error("The Grid strategy supports only categorical hyperparameter ranges.")
        if most not in (None, int(combinations)):
            raise validation_error(
                f"MaxNumberOfTrainingJobs, [{most}], must be equal to the number of combinations of the Grid strategy, "
                f"[{int(combinations)}]."
            )
        _check_limits({**limits, "MaxNumberOfTrainingJobs": int(combinations)})
    elif most is None:
        raise validation_error(f"The strategy {strategy} needs the member MaxNumberOfTrainingJobs.")
    elif combinations < most:
        raise validation_error(
            "You don't have enough combinations of hyperparameter ranges. The total number of hyperparameter "
            f"combinations for the provided ranges [{float(combinations)}] must be equal or greater than the value of "
            f"MaxNumberOfJobs, [{most}]. Provide additional ranges."
        )


def _check_objective(config: TuningConfig, definition: TrainingJobDefinition) -> None:
    metric, specification = (
        config["HyperParameterTuningJobObjective"]["MetricName"],
        definition["AlgorithmSpecification"],
    )
    algorithm = _builtin(specification.get("TrainingImage", ""))
    if algorithm is None:
        if metric not in [each["Name"] for each in specification.get("MetricDefinitions", [])]:
            raise validation_error(
                "A metric is required for this hyperparameter tuning job objective. Provide a metric in the metric "
                "definitions."
            )
    elif metric not in algorithm.objectives:
        raise validation_error(
            f"The objective metric '{metric}' is not one that the algorithm can be tuned for: "
            f"[{', '.join(algorithm.objectives)}]."
        )


def _check_hyperparameters(definition: TrainingJobDefinition, ranges: Sequence[Range]) -> None:
    algorithm = _builtin(definition["AlgorithmSpecification"].get("TrainingImage", ""))
    static = definition.get("StaticHyperParameters", {})
    for each in ranges:
        if each.name in static:
            raise validation_error(f"The hyperparameter {each.name} is static and has a range; give one of the two.")
        if algorithm is not None and each.name not in algorithm.tunable:
            raise validation_error(
                f"The hyperparameter {each.name} is not tunable. The algorithm has the tunable hyperparameters "
                f"[{', '.join(algorithm.tunable)}]."
            )


def _builtin(image: str) -> catalog.Algorithm | None:
    """Return the algorithm of an image in one of AWS's accounts. Of others the service knows nothing."""
    return catalog.by_image(image) if catalog.is_aws(image) else None
