"""The names of training jobs and of tuning jobs.

A tuning job's name has at most 32 characters, which the names of a pipeline and a candidate alone may exceed. So it
begins with ten characters of the pipeline's name and a digest of both names. Its training jobs have its name, a number
and eight digits that SageMaker chooses.
"""

from __future__ import annotations

import re

from sluice.declaration.candidates import Candidate
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError
from sluice.lake.manifests import digest_of

FINGERPRINT_DIGITS = 16
TUNING_DIGITS = 12
_PIPELINE_CHARACTERS, _NAME_DIGITS = 10, 6  # with the digits, the hyphens and the attempt, 32 at most
_ATTEMPT = r"(-\d)?"
_JOB = rf"[0-9a-f]{{{FINGERPRINT_DIGITS}}}{_ATTEMPT}"
_TUNING = rf"[0-9a-f]{{{TUNING_DIGITS}}}{_ATTEMPT}"
_OF_A_TUNING = r"-\d{3}-[0-9a-f]{8}"


def job_name_stem(pipeline: Pipeline, candidate: Candidate) -> str:
    """Return the beginning of the names of a candidate's jobs; SageMaker allows no underscore in them.

    Args:
        pipeline: The pipeline that trains.
        candidate: What is trained.
    """
    return f"{pipeline.name}-{candidate.name}-".replace("_", "-")


def tuning_name_stem(pipeline: Pipeline, candidate: Candidate) -> str:
    """Return the beginning of the names of a candidate's tuning jobs, and of their training jobs.

    Args:
        pipeline: The pipeline that trains.
        candidate: What is trained.
    """
    digest = digest_of([pipeline.name, candidate.name])[:_NAME_DIGITS]
    return f"{pipeline.name[:_PIPELINE_CHARACTERS]}-{digest}-".replace("_", "-")


def name_stems(pipeline: Pipeline) -> list[str]:
    """Return the beginnings of the names of all jobs that train the pipeline's candidates.

    Args:
        pipeline: A pipeline that declares a training.
    """
    candidates = pipeline.require_training().candidates
    return [
        *(job_name_stem(pipeline, candidate) for candidate in candidates),
        *(tuning_name_stem(pipeline, candidate) for candidate in candidates if candidate.tuning is not None),
    ]


def listed_by(pipeline: Pipeline) -> str:
    """Return what the names of all the pipeline's jobs begin with. Those of other pipelines may begin so too.

    Args:
        pipeline: A pipeline that declares a training.
    """
    stem = f"{pipeline.name}-".replace("_", "-")
    tunes = any(candidate.tuning is not None for candidate in pipeline.require_training().candidates)
    return stem[:_PIPELINE_CHARACTERS] if tunes else stem


def candidate_of(pipeline: Pipeline, job_name: str) -> Candidate:
    """Return the candidate that a training job or a tuning job has trained.

    Args:
        pipeline: The pipeline that trains.
        job_name: The name of the job.

    Raises:
        DeclarationError: no declared candidate has jobs of that name.
    """
    for candidate in pipeline.require_training().candidates:
        if _is_training(pipeline, candidate, job_name) or _is_tuning(pipeline, candidate, job_name):
            return candidate
    raise DeclarationError(
        f"pipeline {pipeline.name} declares no candidate whose job is {job_name}; clear the task that launched it"
    )


def is_job_of(pipeline: Pipeline, job_name: str) -> bool:
    """Return whether a training job is that of a declared candidate, or of its tuning job.

    Args:
        pipeline: The pipeline that trains.
        job_name: The name of the training job.
    """
    return any(_is_training(pipeline, each, job_name) for each in pipeline.require_training().candidates)


def is_tuning_of(pipeline: Pipeline, job_name: str) -> bool:
    """Return whether a job is the tuning job of a declared candidate.

    Args:
        pipeline: The pipeline that trains.
        job_name: The name of the job.
    """
    return any(_is_tuning(pipeline, each, job_name) for each in pipeline.require_training().candidates)


def _is_training(pipeline: Pipeline, candidate: Candidate, name: str) -> bool:
    forms = [job_name_stem(pipeline, candidate) + _JOB]
    if candidate.tuning is not None:
        forms.append(tuning_name_stem(pipeline, candidate) + _TUNING + _OF_A_TUNING)
    return any(re.fullmatch(form, name) for form in forms)


def _is_tuning(pipeline: Pipeline, candidate: Candidate, name: str) -> bool:
    form = tuning_name_stem(pipeline, candidate) + _TUNING
    return candidate.tuning is not None and re.fullmatch(form, name) is not None
