"""The operations on hyperparameter tuning jobs: Create, Describe, List, Stop, and ListTrainingJobs of one."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from localcloud.sagemaker.api.collection import Collection
from localcloud.sagemaker.api.errors import resource_in_use
from localcloud.sagemaker.api.listing import ListRequest, Page, cut
from localcloud.sagemaker.api.protocol import OpaqueAnswer, Operation
from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import Tags
from localcloud.sagemaker.jobs.documents import kind_of_jobs
from localcloud.sagemaker.training.jobs import TrainingJobs
from localcloud.sagemaker.tuning.checks import check
from localcloud.sagemaker.tuning.documents import (
    TUNING_JOB,
    CreateTuningJob,
    ListTrainingJobs,
    Status,
    TuningConfig,
    TuningJob,
    TuningJobName,
)
from localcloud.sagemaker.tuning.progress import progress_of, summary_of
from localcloud.sagemaker.tuning.ranges import Range, ranges_of
from localcloud.sagemaker.tuning.strategies import texts
from localcloud.sagemaker.tuning.tuner import Tuner, training_request
from localcloud.service_model.errors import ServiceError, validation_error

_OVER = ("Completed", "Failed", "Stopped")
_SEED_BITS = 31
_KIND = replace(
    kind_of_jobs(TUNING_JOB, "HyperParameterTuningJob", "HyperParameterTuningEndTime"),
    missing=lambda arn: _missing(arn),
    taken=lambda arn: resource_in_use(
        f"A hyperparameter tuning job with the name, {arn.rpartition('/')[2]}, already exists. Choose a different name."
    ),
    order="Ascending",
)
_OF_PROGRESS = ("TrainingJobStatusCounters", "ObjectiveStatusCounters")
_OF_CONFIG = ("Strategy", "ResourceLimits")


class TuningJobs:
    """Hyperparameter tuning jobs, as the control plane shows them."""

    def __init__(self, store: Store, tags: Tags, jobs: TrainingJobs, tuner: Tuner) -> None:
        self._tunings = Collection(store, tags, _KIND)
        self._jobs = jobs
        self._tuner = tuner

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            "CreateHyperParameterTuningJob": self._create,
            "DescribeHyperParameterTuningJob": self._describe,
            "StopHyperParameterTuningJob": self._stop,
            "ListHyperParameterTuningJobs": self._list,
            "ListTrainingJobsForHyperParameterTuningJob": self._list_training_jobs,
        }

    def recover(self) -> None:
        """Go on with the tuning jobs that ran when the stand-in last ended. Their training jobs of then have failed."""
        for tuning in self._tunings.all():
            if tuning["HyperParameterTuningJobStatus"] not in _OVER:
                self._tuner.submit(tuning["HyperParameterTuningJobName"])

    def _create(self, request: CreateTuningJob) -> OpaqueAnswer:
        check(request)
        ranges = ranges_of(request["HyperParameterTuningJobConfig"]["ParameterRanges"])
        tuning = self._new(request, ranges)
        first = training_request(tuning, tuning["HyperParameterTuningJobName"], texts(ranges, (0.0,) * len(ranges)))
        limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
        self._jobs.check(first, at_once=limits["MaxParallelTrainingJobs"])
        arn = self._tunings.insert(request["HyperParameterTuningJobName"], tuning)
        self._tuner.submit(request["HyperParameterTuningJobName"])
        return {"HyperParameterTuningJobArn": arn}

    def _new(self, request: CreateTuningJob, ranges: Sequence[Range]) -> TuningJob:
        config, definition = request["HyperParameterTuningJobConfig"], request["TrainingJobDefinition"]
        now = time.time()
        status: Status = {"HyperParameterTuningJobStatus": "InProgress", "CreationTime": now, "LastModifiedTime": now}
        metric = config["HyperParameterTuningJobObjective"]["MetricName"]
        static = {**definition.get("StaticHyperParameters", {}), "_tuning_objective_metric": metric}
        return {
            **request,
            "HyperParameterTuningJobConfig": _with_defaults(config, ranges),
            "TrainingJobDefinition": {**definition, "StaticHyperParameters": static},
            "HyperParameterTuningJobArn": self._tunings.arn(request["HyperParameterTuningJobName"]),
            **status,
            "Seed": config.get("RandomSeed", secrets.randbits(_SEED_BITS)),
        }

    def _describe(self, request: TuningJobName) -> OpaqueAnswer:
        tuning = self._tunings.get(request["HyperParameterTuningJobName"])
        return {**tuning, **progress_of(tuning, self._tuner.trained(tuning))}

    def _stop(self, request: TuningJobName) -> None:
        def change(tuning: TuningJob) -> None:
            status = tuning["HyperParameterTuningJobStatus"]
            if status in _OVER:
                raise validation_error(
                    f"The request was rejected because the hyperparameter tuning job is in status {status}."
                )
            tuning["HyperParameterTuningJobStatus"] = "Stopping"
            tuning["LastModifiedTime"] = time.time()

        self._tunings.update(request["HyperParameterTuningJobName"], change)
        self._tuner.wake()

    def _list(self, request: ListRequest) -> Page:
        listed = self._tunings.list({"SortBy": "Name", **request})
        return {**listed, _KIND.summaries: [self._listed(each) for each in listed[_KIND.summaries]]}

    def _listed(self, summary: Mapping[str, object]) -> OpaqueAnswer:
        tuning = self._tunings.get(str(summary["HyperParameterTuningJobName"]))
        progress: OpaqueAnswer = progress_of(tuning, self._tuner.trained(tuning))
        config: OpaqueAnswer = tuning["HyperParameterTuningJobConfig"]
        return {
            **summary,
            **{each: progress[each] for each in _OF_PROGRESS},
            **{each: config[each] for each in _OF_CONFIG},
        }

    def _list_training_jobs(self, request: ListTrainingJobs) -> Page:
        tuning = self._tunings.get(request["HyperParameterTuningJobName"])
        summaries = [summary_of(tuning, job) for job in self._tuner.trained(tuning)]
        if "StatusEquals" in request:
            summaries = [each for each in summaries if each["TrainingJobStatus"] == request["StatusEquals"]]
        by = request.get("SortBy", "Name")
        if by == "FinalObjectiveMetricValue":
            summaries = [each for each in summaries if "FinalHyperParameterTuningJobObjectiveMetric" in each]
        summaries.sort(key=_SORT_KEYS[by], reverse=request.get("SortOrder") == "Descending")
        shown, token = cut(summaries, request)
        return {"TrainingJobSummaries": shown, **token}


_SORT_KEYS = {
    "Name": lambda each: each["TrainingJobName"],
    "CreationTime": lambda each: (each["CreationTime"], each["TrainingJobName"]),
    "Status": lambda each: (each["TrainingJobStatus"], each["TrainingJobName"]),
    "FinalObjectiveMetricValue": lambda each: each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
}


def _with_defaults(config: TuningConfig, ranges: Sequence[Range]) -> TuningConfig:
    """Return a configuration with its defaults. A grid has as many training jobs as there are combinations."""
    limits = config["ResourceLimits"]
    most = limits["MaxNumberOfTrainingJobs"] if "MaxNumberOfTrainingJobs" in limits else _combinations(ranges)
    return {
        "TrainingJobEarlyStoppingType": "Off",
        **config,
        "ResourceLimits": {**limits, "MaxNumberOfTrainingJobs": most},
    }


def _combinations(ranges: Sequence[Range]) -> int:
    return int(math.prod(each.count for each in ranges))


def _missing(arn: str) -> ServiceError:
    name = arn.rpartition("/")[2]
    return ServiceError(
        "ResourceNotFound", f"Amazon SageMaker can't find a tuning job called {name}. Type another name."
    )
