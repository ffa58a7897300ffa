"""What a pipeline has made at SageMaker and in its lake. What others have made has other names, and is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sluice.evaluation.transforms import scoring_stem
from sluice.housekeeping.policy import Kind, Thing
from sluice.lake.store import Lake
from sluice.training.names import is_job_of, is_tuning_of, listed_by
from sluice.workspace import Workspace

_DIGEST, _FINGERPRINT = "[0-9a-f]{16}", "[0-9a-f]{32}"
_IN_PROGRESS = ("InProgress", "Stopping")


def existing(workspace: Workspace) -> list[Thing]:
    """Return what a pipeline has made, and its jobs in progress.

    Args:
        workspace: The workspace of a pipeline that declares a training.
    """
    return [
        thing
        for thing in (
            *jobs_in_progress(workspace),
            *_configs(workspace),
            *_models(workspace),
            *(thing for kind in _folder_kinds(workspace) for thing in _folders(workspace, kind)),
        )
        if _is_own(workspace, thing)
    ]


def jobs_in_progress(workspace: Workspace) -> list[Thing]:
    """Return the tuning, training and transform jobs of a pipeline that have not ended.

    Args:
        workspace: The workspace of a pipeline that declares a training.
    """
    pipeline = workspace.pipeline
    trained, scored = listed_by(pipeline), scoring_stem(pipeline.name)
    sources = [
        (Kind.TRAINING_JOB, "list_training_jobs", "TrainingJobName", trained),
        (Kind.TRANSFORM_JOB, "list_transform_jobs", "TransformJobName", scored),
    ]
    if any(candidate.tuning for candidate in pipeline.require_training().candidates):
        tuned = (Kind.TUNING_JOB, "list_hyper_parameter_tuning_jobs", "HyperParameterTuningJobName", trained)
        sources.append(tuned)
    found = [
        Thing(kind, job[name], job["CreationTime"].astimezone(UTC))
        for kind, operation, name, stem in sources
        for status in _IN_PROGRESS
        for job in _listed(workspace, operation, NameContains=stem, StatusEquals=status)
    ]
    return [thing for thing in found if _is_own(workspace, thing)]


def folder_of(lake: Lake, kind: Kind, name: str = "") -> str:
    """Return the folder of a thing in the lake; without a name, that of all things of the kind.

    Args:
        lake: The pipeline's lake.
        kind: ``ARTEFACT``, ``BATCHES``, ``SCORES`` or ``SNAPSHOT``.
        name: The name of the thing.
    """
    layout = lake.layout
    folders = {
        Kind.ARTEFACT: f"{layout.models()}/",
        Kind.BATCHES: layout.batches(),
        Kind.SCORES: layout.scorings(),
        Kind.SNAPSHOT: layout.snapshots(),
    }
    return folders[kind] + (f"{name}/" if name else "")


def _folder_kinds(workspace: Workspace) -> list[Kind]:
    """Return the kinds of folders that the pipeline makes, and may delete."""
    batches = [Kind.BATCHES] if workspace.pipeline.scoring else []
    return [Kind.ARTEFACT, *batches, Kind.SCORES, Kind.SNAPSHOT]


def _models(workspace: Workspace) -> Iterator[Thing]:
    for model in _listed(workspace, "list_models", NameContains=listed_by(workspace.pipeline)):
        yield Thing(Kind.MODEL, model["ModelName"], model["CreationTime"].astimezone(UTC))


def _configs(workspace: Workspace) -> Iterator[Thing]:
    if workspace.pipeline.deployment is None:
        return
    for config in _listed(workspace, "list_endpoint_configs", NameContains=workspace.pipeline.deployment.endpoint):
        yield Thing(Kind.CONFIG, config["EndpointConfigName"], config["CreationTime"].astimezone(UTC))


def _folders(workspace: Workspace, kind: Kind) -> list[Thing]:
    lake = workspace.lake
    prefix, found = folder_of(lake, kind), dict[str, Thing]()
    pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.bucket, Prefix=prefix)
    for entry in (entry for page in pages for entry in page.get("Contents", ())):
        name, changed = entry["Key"].removeprefix(prefix).partition("/")[0], entry["LastModified"].astimezone(UTC)
        before = found.get(name, Thing(kind, name, changed))
        found[name] = replace(
            before,
            changed=max(before.changed, changed),
            objects=before.objects + 1,
            size=before.size + entry["Size"],
        )
    return list(found.values())


def _is_own(workspace: Workspace, thing: Thing) -> bool:
    """Return whether a name is one that the pipeline gives. SageMaker lists by a part of the name only."""
    pipeline = workspace.pipeline
    if thing.kind in (Kind.TRAINING_JOB, Kind.MODEL, Kind.ARTEFACT, Kind.BATCHES):
        return is_job_of(pipeline, thing.name)
    if thing.kind is Kind.TUNING_JOB:
        return is_tuning_of(pipeline, thing.name)
    form = {
        Kind.TRANSFORM_JOB: rf"{scoring_stem(pipeline.name)}{_DIGEST}(-\d)?",
        Kind.SCORES: f"{scoring_stem(pipeline.name)}{_DIGEST}",
        Kind.CONFIG: f"{pipeline.deployment.endpoint if pipeline.deployment else ''}-{_DIGEST}",
        Kind.SNAPSHOT: _FINGERPRINT,
    }[thing.kind]
    return re.fullmatch(form, thing.name) is not None


def _listed(workspace: Workspace, operation: str, **filters: Any) -> Iterator[Any]:
    """Yield what SageMaker lists."""
    paginator = workspace.aws.client("sagemaker").get_paginator(operation)
    for page in paginator.paginate(**filters, PaginationConfig={"PageSize": 100}):
        yield from page[paginator.result_keys[0].expression]


def newest_change(lake: Lake, key: str) -> datetime | None:
    """Return when an object was written (UTC); None if there is none.

    Args:
        lake: The pipeline's lake.
        key: The beginning of the key. If several objects have it, the newest counts.
    """
    pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.bucket, Prefix=key)
    return max(
        (entry["LastModified"].astimezone(UTC) for page in pages for entry in page.get("Contents", ())), default=None
    )
