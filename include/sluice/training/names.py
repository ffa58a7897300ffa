"""The names of training jobs."""

from __future__ import annotations

import re

from sluice.declaration.candidates import Candidate
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError

FINGERPRINT_DIGITS = 16
_END_OF_JOB_NAME = rf"[0-9a-f]{{{FINGERPRINT_DIGITS}}}(-\d)?"  # the digest, and the number of the attempt


def job_name_stem(pipeline: Pipeline, candidate: Candidate) -> str:
    """Return the beginning of the names of a candidate's jobs; SageMaker allows no underscore in them.

    Args:
        pipeline: The pipeline that trains.
        candidate: What is trained.
    """
    return f"{pipeline.name}-{candidate.name}-".replace("_", "-")


def candidate_of(pipeline: Pipeline, job_name: str) -> Candidate:
    """Return the candidate that a job has trained.

    Args:
        pipeline: The pipeline that trains.
        job_name: The name of the job.

    Raises:
        DeclarationError: no declared candidate has jobs of that name.
    """
    candidate = _candidate(pipeline, job_name)
    if candidate is None:
        raise DeclarationError(
            f"pipeline {pipeline.name} declares no candidate whose job is {job_name}; clear the task that launched it"
        )
    return candidate


def is_job_of(pipeline: Pipeline, job_name: str) -> bool:
    """Return whether a job is that of a declared candidate.

    Args:
        pipeline: The pipeline that trains.
        job_name: The name of the job.
    """
    return _candidate(pipeline, job_name) is not None


def _candidate(pipeline: Pipeline, job_name: str) -> Candidate | None:
    for candidate in pipeline.require_training().candidates:
        if re.fullmatch(job_name_stem(pipeline, candidate) + _END_OF_JOB_NAME, job_name):
            return candidate
    return None
