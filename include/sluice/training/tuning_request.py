"""The tuning request: the same snapshot, declaration and role give the same request, name and seed (P4, P7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.dataset.snapshot import Snapshot
from sluice.declaration.candidates import Candidate
from sluice.declaration.tuning import Search, Tuning
from sluice.lake.manifests import digest_of
from sluice.training.names import TUNING_DIGITS, tuning_name_stem
from sluice.training.request import as_text, training_request
from sluice.workspace import Workspace

_SEED_BITS = 31


def tuning_request(workspace: Workspace, candidate: Candidate, tuning: Tuning, snapshot: Snapshot) -> dict[str, Any]:
    """Return the CreateHyperParameterTuningJob request.

    Its name ends in a fingerprint of everything else in it, except the declared tags. The seed comes from that
    fingerprint too, so that the same request tries the same hyperparameters.

    Args:
        workspace: The workspace of a pipeline that declares a training. Its lake also gets the artefacts.
        candidate: What is trained.
        tuning: How it is tuned.
        snapshot: What the training jobs are trained on.

    Raises:
        MissingResource: the pipeline's stack has no role for SageMaker.
    """
    pipeline = workspace.pipeline
    definition = training_request(workspace, candidate, snapshot)
    name, tags = definition.pop("TrainingJobName"), definition.pop("Tags")
    objective = candidate.objective(pipeline.require_training().problem)
    config: dict[str, Any] = {
        "Strategy": tuning.strategy.capitalize(),
        "HyperParameterTuningJobObjective": {"MetricName": objective.metric, "Type": objective.direction},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": tuning.jobs, "MaxParallelTrainingJobs": tuning.parallel},
        "ParameterRanges": _ranges(tuning.ranges),
    }
    digest = digest_of([name, config])  # the name stands for all of the training jobs' definition
    return {
        "HyperParameterTuningJobName": tuning_name_stem(pipeline, candidate) + digest[:TUNING_DIGITS],
        "HyperParameterTuningJobConfig": {**config, "RandomSeed": int(digest, 16) % 2**_SEED_BITS},
        "TrainingJobDefinition": {"StaticHyperParameters": definition.pop("HyperParameters"), **definition},
        "Tags": tags,
    }


def _ranges(ranges: Mapping[str, Search]) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, searched in sorted(ranges.items()):
        members = {member: _in_text(value) for member, value in searched.members.items()}
        found.setdefault(f"{searched.kind}ParameterRanges", []).append({"Name": name, **members})
    return found


def _in_text(value: object) -> str | list[str]:
    return [as_text(each) for each in value] if isinstance(value, tuple) else as_text(value)
