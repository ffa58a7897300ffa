"""What must stay: what is live, what a deployment may go back to, what was judged last, and what a running job uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from sluice.evaluation.verdict import Verdict
from sluice.housekeeping.existing import folder_of, jobs_in_progress, newest_change
from sluice.housekeeping.policy import Keep, Kind, Needed, Ref
from sluice.lake.journal import entries
from sluice.lake.store import Lake
from sluice.serving.champion import newest_record
from sluice.serving.endpoint import find_endpoint
from sluice.serving.plan import Plan, read_plan
from sluice.serving.recipe import Recipe, recipe_of_config, recipe_of_model
from sluice.serving.records import DeploymentRecord, deployment_records
from sluice.workspace import Workspace


@dataclass(frozen=True)
class Book:
    """What the lake has on record: all deployments and verdicts by their numbers, oldest first."""

    lake: Lake
    records: Mapping[int, DeploymentRecord]
    verdicts: Mapping[int, Verdict]

    def of_record(self, record: DeploymentRecord) -> Iterator[Ref]:
        """Yield what a deployment needs to be restored and proven again."""
        if record.recipe is not None:
            yield from self.of_recipe(record.recipe)
        yield Kind.SNAPSHOT, record.model.snapshot
        yield from self.of_job(record.model.job, record.verdict)

    def of_recipe(self, recipe: Recipe) -> Iterator[Ref]:
        """Yield a configuration and its models, with their artefacts in the lake."""
        yield Kind.CONFIG, recipe.config_name
        for model in recipe.models:
            yield Kind.MODEL, model["ModelName"]
            containers = [model.get("PrimaryContainer", {}), *model.get("Containers", ())]
            yield from (ref for each in containers for ref in self.below(Kind.ARTEFACT, each.get("ModelDataUrl", "")))

    def of_job(self, job: str, number: int | None = None) -> Iterator[Ref]:
        """Yield the model of a training job, what it has scored in batch, and what judged it.

        Args:
            job: The name of the job.
            number: The number of the verdict; None, or one that is not there: the newest verdict on that model.
        """
        yield Kind.MODEL, job
        yield Kind.ARTEFACT, job
        yield Kind.BATCHES, job
        known = self.verdicts.get(number or 0)
        for verdict in [known] if known else reversed(list(self.verdicts.values())):
            for judgement in verdict.judgements:
                if judgement.model.job == job:
                    yield Kind.SNAPSHOT, verdict.snapshot
                    yield Kind.SNAPSHOT, judgement.model.snapshot
                    yield Kind.SCORES, PurePosixPath(judgement.scores).name
                    return

    def below(self, kind: Kind, uri: str) -> Iterator[Ref]:
        """Yield the thing of a kind whose folder in the lake has an object or a folder of that URI.

        Args:
            kind: ``ARTEFACT``, ``SCORES`` or ``SNAPSHOT``.
            uri: The ``s3://`` URI; one outside of the lake yields nothing.
        """
        root = self.lake.uri(folder_of(self.lake, kind))
        if uri.startswith(root):
            yield kind, uri.removeprefix(root).partition("/")[0]


def read_book(lake: Lake) -> Book:
    """Read what the lake has on record."""
    return Book(lake, deployment_records(lake), entries(lake, lake.layout.verdicts(), Verdict))


def find_needed(workspace: Workspace, book: Book, keep: Keep) -> Needed:
    """Return what must stay.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        book: What the lake has on record.
        keep: The policy.

    Raises:
        ClientError: what is live can't be looked at, so nothing may go.
    """
    lake, newest = workspace.lake, max(book.verdicts, default=0)
    refs = {
        *live_refs(workspace, book),
        *(ref for record in _restorable(book, keep) for ref in book.of_record(record)),
        *_judged_refs(workspace, book, newest),
        *_running_refs(workspace, book),
    }
    return Needed(
        refs=frozenset(refs),
        deployments={ref: number for number, record in book.records.items() for ref in book.of_record(record)},
        judged=newest_change(lake, f"{lake.layout.verdicts()}{newest:06d}"),
    )


def live_refs(workspace: Workspace, book: Book) -> set[Ref]:
    """Return what is live now, what an update under way will serve, and what a deployment under way may go back to.

    Args:
        workspace: The workspace of a pipeline that declares a training.
        book: What the lake has on record.
    """
    deployment = workspace.pipeline.deployment
    refs = set(_planned_refs(book))
    promoted = newest_record(workspace) if deployment is None else None
    if promoted is not None:
        refs.update(book.of_record(promoted))
    live = find_endpoint(workspace, deployment.endpoint) if deployment else None
    for config in {live.config, live.pending} - {""} if live else ():
        refs.add((Kind.CONFIG, config))
        recipe = recipe_of_config(workspace, config)
        if recipe is not None:
            refs.update(book.of_recipe(recipe))
            refs.update(ref for model in recipe.models for ref in book.of_job(model["ModelName"]))
    return refs


def _planned_refs(book: Book) -> Iterator[Ref]:
    """Yield what plans name that have not ended, or that are all that is known of what served before Sluice."""
    proven = {record.endpoint for record in book.records.values()}
    for endpoint in _planned_endpoints(book.lake):
        plan = read_plan(book.lake, endpoint)
        if plan is not None and (plan.running or endpoint not in proven):
            yield from _of_plan(book, plan)


def _planned_endpoints(lake: Lake) -> list[str]:
    """Return the endpoints that have a plan: also those that the pipeline declared earlier."""
    return [PurePosixPath(key).stem for key, _, _ in lake.objects(lake.layout.plans())]


def _of_plan(book: Book, plan: Plan) -> Iterator[Ref]:
    target = plan.target
    yield from book.of_recipe(target.recipe)
    yield Kind.SNAPSHOT, target.model.snapshot
    yield from book.of_job(target.model.job, target.verdict)
    if plan.former is not None:
        yield Kind.CONFIG, plan.former
        for record in book.records.values():
            if record.config == plan.former:
                yield from book.of_record(record)
    if plan.former_recipe is not None:
        yield from book.of_recipe(plan.former_recipe)


def _restorable(book: Book, keep: Keep) -> Iterator[DeploymentRecord]:
    """Yield the newest deployments of each endpoint. The last one is what a failed deployment restores."""
    seen: dict[str | None, set[str]] = {}
    for record in reversed(list(book.records.values())):
        configs = seen.setdefault(record.endpoint, set())
        if record.config in configs or len(configs) < max(keep.deployments, 1):
            configs.add(record.config)
            yield record


def _judged_refs(workspace: Workspace, book: Book, number: int) -> Iterator[Ref]:
    """Yield what the newest verdict names: `sluice deploy` makes its winner live."""
    verdict = book.verdicts.get(number)
    if verdict is None:
        return
    for judgement in verdict.judgements:
        yield from book.of_job(judgement.model.job, number)
        if judgement.model.job == verdict.winner and workspace.pipeline.deployment:
            yield Kind.CONFIG, recipe_of_model(workspace, judgement.model).config_name


def _running_refs(workspace: Workspace, book: Book) -> Iterator[Ref]:
    """Yield what the jobs in progress read and write."""
    sagemaker = workspace.aws.client("sagemaker")
    for job in jobs_in_progress(workspace):
        if job.kind is Kind.TUNING_JOB:
            tuning = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=job.name)
            yield from _read_refs(book, tuning["TrainingJobDefinition"]["InputDataConfig"])
            if "BestTrainingJob" in tuning:
                yield from book.of_job(tuning["BestTrainingJob"]["TrainingJobName"])
        elif job.kind is Kind.TRAINING_JOB:
            described = sagemaker.describe_training_job(TrainingJobName=job.name)
            yield from book.of_job(job.name)
            yield from _read_refs(book, described["InputDataConfig"])
        else:
            described = sagemaker.describe_transform_job(TransformJobName=job.name)
            yield from book.of_job(described["ModelName"])
            yield from _read_refs(book, [described["TransformInput"]])
            yield from book.below(Kind.SCORES, f"{described['TransformOutput']['S3OutputPath'].rstrip('/')}/")


def _read_refs(book: Book, inputs: Iterable[Any]) -> Iterator[Ref]:
    for each in inputs:
        yield from book.below(Kind.SNAPSHOT, each["DataSource"]["S3DataSource"]["S3Uri"])
