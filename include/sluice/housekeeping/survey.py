"""Surveys what may go. Nothing is changed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sluice.housekeeping.contents import all_contents
from sluice.housekeeping.existing import existing
from sluice.housekeeping.needed import find_needed, read_book
from sluice.housekeeping.policy import Keep, Kind, Leftover, Thing, in_order, leftovers, leftovers_of
from sluice.serving.recipe import recipe_of_config
from sluice.training.names import is_job_of
from sluice.workspace import Workspace

_PATIENCE = timedelta(hours=1)  # for a job that waits for an instance

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Leftovers:
    """What may go by a policy, in the order in which it goes."""

    keep: Keep
    found: tuple[Leftover, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there are of each kind, and the bytes of all."""
        kinds: Counter[str] = Counter()
        for each in self.found:
            kinds[str(each.thing.kind)] += each.thing.count
        return {**kinds, "bytes": sum(each.thing.size for each in self.found)}


def survey(workspace: Workspace, keep: Keep) -> Leftovers:
    """Return what may go; the log has a line for each.

    Args:
        workspace: The workspace of the pipeline.
        keep: The policy.

    Raises:
        SluiceError: a snapshot can't be read, so nothing that it may name may go.
        ClientError: what is live can't be looked at, so nothing may go.
    """
    found = (*(_of_models(workspace, keep) if workspace.pipeline.training else ()), *_of_datasets(workspace, keep))
    for each in found:
        _log.info("%s %s (%s bytes): %s", each.thing.kind, each.thing.name, each.thing.size, each.reason)
    return Leftovers(keep, found)


def _of_models(workspace: Workspace, keep: Keep) -> list[Leftover]:
    training, scoring = workspace.pipeline.require_training(), workspace.pipeline.scoring
    longest_job = max(training.longest_job, scoring.max_runtime if scoring else timedelta(0)) + _PATIENCE
    things = existing(workspace)
    needed = find_needed(
        workspace, read_book(workspace.lake), keep
    )  # after the listing, so that nothing becomes needed in between
    found = leftovers(things, needed, keep, workspace.lake.now(), longest_job)
    return [each for each in found if _is_made_here(workspace, each.thing)]


def _of_datasets(workspace: Workspace, keep: Keep) -> list[Leftover]:
    now = workspace.lake.now()
    found = [each for contents in all_contents(workspace) for each in leftovers_of(contents, keep, now)]
    return in_order(found)


def _is_made_here(workspace: Workspace, thing: Thing) -> bool:
    """Return whether a configuration is of the pipeline's models, and a model or a job of its lake; no name shows it.

    The job of pipeline ``a_b`` with candidate ``c`` may have the name of one of pipeline ``a`` with candidate ``b-c``.
    """
    if thing.kind is Kind.CONFIG:
        recipe = recipe_of_config(workspace, thing.name)
        return recipe is None or all(is_job_of(workspace.pipeline, each["ModelName"]) for each in recipe.models)
    if thing.kind is Kind.MODEL:
        described = workspace.aws.client("sagemaker").describe_model(ModelName=thing.name)
        artefact = described.get("PrimaryContainer", {}).get("ModelDataUrl", "")
        return str(artefact).startswith(workspace.lake.uri(f"{workspace.lake.layout.models()}/"))
    if thing.kind is Kind.TRAINING_JOB:
        described = workspace.aws.client("sagemaker").describe_training_job(TrainingJobName=thing.name)
        output: str = described["OutputDataConfig"]["S3OutputPath"]
        return output.startswith(workspace.lake.uri(workspace.lake.layout.models()))
    return True
