"""The kinds of job that train a candidate: a training job, or a tuning job, which runs training jobs.

What follows a training works with the name of either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sluice.declaration.pipeline import Pipeline
from sluice.training.jobs import Job, completed_job, find_job, progress, stop_job
from sluice.training.names import is_tuning_of
from sluice.training.tuning import best_artefact, completed_tuning, find_tuning, stop_tuning, tuning_progress
from sluice.workspace import Workspace


@dataclass(frozen=True)
class JobKind:
    """A kind of job. Each function takes the workspace of the pipeline that trains.

    Attributes:
        title: What messages call it.
        page: The page of SageMaker's console that has the jobs.
        find: Returns the job of a name, by one call; None if there is none. It has a ``status``, and is a PaidJob.
        progress: Returns how far a job is that was found.
        artefact: Returns the artefact of a completed job that was found; empty if it is not known any more.
        completed: Returns the training job that has the model; fails unless the job of that name has completed.
        stop: Stops the job of a name, unless it has ended; returns whether it was in progress.
    """

    title: str
    page: str
    find: Callable[[Workspace, str], Any]
    progress: Callable[[Workspace, Any], str]
    artefact: Callable[[Workspace, Any], str]
    completed: Callable[[Workspace, str], Job]
    stop: Callable[[Workspace, str], bool]


TRAINING = JobKind(
    title="training job",
    page="jobs",
    find=find_job,
    progress=progress,
    artefact=lambda _, job: str(job.model_uri),
    completed=completed_job,
    stop=stop_job,
)
TUNING = JobKind(
    title="tuning job",
    page="hyper-tuning-jobs",
    find=find_tuning,
    progress=lambda _, job: tuning_progress(job),
    artefact=best_artefact,
    completed=completed_tuning,
    stop=stop_tuning,
)


def kind_of(pipeline: Pipeline, job_name: str) -> JobKind:
    """Return the kind of a job that trains a candidate.

    Args:
        pipeline: The pipeline that trains.
        job_name: The name of the job, as it was launched.
    """
    return TUNING if is_tuning_of(pipeline, job_name) else TRAINING
