"""Runs tuning jobs: each has a thread, which starts training jobs and waits for their ends.

What a tuning job has started is read from the store each time, so a thread may end anywhere and be started again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

from localcloud.sagemaker.api.store import Store
from localcloud.sagemaker.api.tags import as_tags
from localcloud.sagemaker.training.documents import TRAINING_JOB, CreateTrainingJob, TrainingJob
from localcloud.sagemaker.training.jobs import TrainingJobs
from localcloud.sagemaker.tuning.documents import TUNING_JOB, TuningJob
from localcloud.sagemaker.tuning.progress import IN_PROGRESS, merit_of, objective_of, progress_of
from localcloud.sagemaker.tuning.ranges import ranges_of
from localcloud.sagemaker.tuning.strategies import STRATEGIES, Trial, texts
from localcloud.service_model.errors import ServiceError, cause

_CLOSE_SECONDS = 15.0
_LOOK_SECONDS = 1.0  # between two looks at the time; the ends of training jobs are noticed at once
_MOST_FAILURES = 5
_NO_SUCCESS = (
    f"No training job succeeded after {_MOST_FAILURES} attempts. For additional details, please take a look at the "
    "training job failures by listing training jobs for the hyperparameter tuning job."
)
_ALL_FAILED = "All training jobs failed. Please take a look at the training jobs failures to get more details."
_REASON_CHARACTERS = 1024

logger = logging.getLogger(__name__)


class Tuner:
    """Starts and ends the training jobs of tuning jobs.

    Args:
        store: Where the documents of both are.
        jobs: Starts and stops training jobs.
        ended: Is notified when a training job has ended.
    """

    def __init__(self, store: Store, jobs: TrainingJobs, ended: threading.Condition) -> None:
        self._store = store
        self._jobs = jobs
        self._ended = ended
        self._threads: dict[str, threading.Thread] = {}
        self._closing = False

    def submit(self, name: str) -> None:
        """Run the tuning job of this name, which is in the store: from its beginning, or on from where it is."""
        thread = threading.Thread(target=self._run, args=(name,), name=f"tuning-{name}", daemon=True)
        with self._ended:
            self._threads[name] = thread
        thread.start()

    def wake(self) -> None:
        """Make the tuning jobs look at their documents again."""
        with self._ended:
            self._ended.notify_all()

    def close(self) -> None:
        """End all threads; the documents stay as they are."""
        with self._ended:
            self._closing = True
            threads = list(self._threads.values())
            self._ended.notify_all()
        for thread in threads:
            thread.join(_CLOSE_SECONDS)

    def trained(self, tuning: TuningJob) -> list[TrainingJob]:
        """Return the training jobs that a tuning job has started, in the order of their starts."""
        arn = tuning["HyperParameterTuningJobArn"]
        return [job for job in self._store.all(TRAINING_JOB) if job.get("TuningJobArn") == arn]

    def _run(self, name: str) -> None:
        try:
            # The lock is held from a look to the wait, so that no end of a training job comes unnoticed in between.
            with self._ended:
                while not self._closing and not self._advance(self._store.get(TUNING_JOB, name)):
                    self._ended.wait(_LOOK_SECONDS)
        except Exception as error:
            logger.exception("%s %s", TUNING_JOB, name)
            reason = error.message if isinstance(error, ServiceError) else f"InternalServerError: {cause(error)}"
            self._end(name, "Failed", reason)
        finally:
            with self._ended:
                del self._threads[name]

    def _advance(self, tuning: TuningJob) -> bool:
        """Take the steps that are possible now; return whether the tuning job is over."""
        name, limits = tuning["HyperParameterTuningJobName"], tuning["HyperParameterTuningJobConfig"]["ResourceLimits"]
        jobs = self.trained(tuning)
        running = [job for job in jobs if job["TrainingJobStatus"] in IN_PROGRESS]
        over = self._outcome(tuning, jobs, running)
        if over is not None:
            for job in running:
                with contextlib.suppress(ServiceError):  # it has ended meanwhile
                    self._jobs.stop(job["TrainingJobName"])
            if running:
                return False
            self._end(name, *over)
            return True
        # The number of the last one, as earlier ones may have been deleted.
        started = max((_number(tuning, job) for job in jobs), default=0)
        free = limits["MaxParallelTrainingJobs"] - len(running)
        for number in range(started + 1, min(started + free, limits["MaxNumberOfTrainingJobs"]) + 1):
            self._start(tuning, number)
        return False

    def _outcome(
        self, tuning: TuningJob, jobs: Sequence[TrainingJob], running: Sequence[TrainingJob]
    ) -> tuple[str, str] | None:
        """Return the status with which a tuning job has to end, and the reason of a failure; None if it goes on."""
        limits = tuning["HyperParameterTuningJobConfig"]["ResourceLimits"]
        if tuning["HyperParameterTuningJobStatus"] == "Stopping":
            return "Stopped", ""
        longest = limits.get("MaxRuntimeInSeconds")
        if longest is not None and time.time() > tuning["CreationTime"] + longest:
            return "Completed", ""
        succeeded = any(job["TrainingJobStatus"] == "Completed" for job in jobs)
        if not succeeded and sum(job["TrainingJobStatus"] == "Failed" for job in jobs) >= _MOST_FAILURES:
            return "Failed", _NO_SUCCESS
        last = max((_number(tuning, job) for job in jobs), default=0)
        if last >= limits["MaxNumberOfTrainingJobs"] and not running:
            return ("Completed", "") if succeeded else ("Failed", _ALL_FAILED)
        return None

    def _start(self, tuning: TuningJob, number: int) -> None:
        config, objective = tuning["HyperParameterTuningJobConfig"], objective_of(tuning)
        ranges = ranges_of(config["ParameterRanges"])
        jobs = self.trained(tuning)
        trials = [Trial(tuple(job["TuningPoint"]), merit_of(objective, job)) for job in jobs]
        point = STRATEGIES[config["Strategy"]](ranges, trials, tuning["Seed"])
        searched, arn = texts(ranges, point), tuning["HyperParameterTuningJobArn"]
        request = training_request(tuning, _training_job_name(tuning, number), searched)
        request["Tags"] = as_tags(self._store.tags(arn))
        self._jobs.start(request, {"TuningJobArn": arn, "TunedHyperParameters": searched, "TuningPoint": point})

    def _end(self, name: str, status: str, reason: str) -> None:
        def change(tuning: TuningJob) -> None:
            tuning["HyperParameterTuningJobStatus"] = status
            tuning["HyperParameterTuningEndTime"] = tuning["LastModifiedTime"] = time.time()
            tuning["Ended"] = progress_of(tuning, self.trained(tuning))
            if reason:
                tuning["FailureReason"] = reason[:_REASON_CHARACTERS]

        self._store.update(TUNING_JOB, name, change)


def training_request(tuning: TuningJob, name: str, searched: dict[str, str]) -> CreateTrainingJob:
    """Return the request of a training job of a tuning job, but for its tags.

    Args:
        tuning: The tuning job's document.
        name: The training job's name.
        searched: The hyperparameters that the strategy has chosen.
    """
    definition: dict[str, Any] = {**tuning["TrainingJobDefinition"]}
    static = definition.pop("StaticHyperParameters", {})
    definition.pop("DefinitionName", None)
    return cast("CreateTrainingJob", {"TrainingJobName": name, **definition, "HyperParameters": {**static, **searched}})


def _training_job_name(tuning: TuningJob, number: int) -> str:
    """Return the name of a training job; its end is the same when a start is repeated after a kill."""
    text = f"{tuning['HyperParameterTuningJobArn']} {tuning['CreationTime']} {number}"
    end = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{tuning['HyperParameterTuningJobName']}-{number:03d}-{end}"


def _number(tuning: TuningJob, job: TrainingJob) -> int:
    return int(job["TrainingJobName"].removeprefix(f"{tuning['HyperParameterTuningJobName']}-").partition("-")[0])
