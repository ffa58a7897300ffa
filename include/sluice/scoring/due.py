"""What has to be scored: partitions without scores, and with those of other rows, another model or declaration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from sluice.errors import MissingResource
from sluice.lake.layout import Folder
from sluice.lake.manifests import Manifest, Size, digest_of
from sluice.lake.partitions import Partition, format_ranges, parse_ranges
from sluice.serving.champion import model_of_job
from sluice.steps.chunks import TARGET, chunks_by_size
from sluice.training.models import Model
from sluice.workspace import Workspace

_FORM = 1  # increase it when the same rows and answers are written as other bytes
_MODEL = f"{Folder.MODELS}/"
# The work of a chunk. A job takes minutes to start, and each is paid for, so its chunk is larger than a step's: about
# what a small instance scores meanwhile.
_TARGET = 16 * TARGET


def due_rows(workspace: Workspace, model: Model, partitions: Sequence[Partition]) -> list[Manifest]:
    """Return the manifests of the rows that have to be scored, in the order of the partitions.

    Args:
        workspace: The workspace of a pipeline that declares a scoring.
        model: The model that scores.
        partitions: The partitions; each must be closed.

    Raises:
        MissingResource: a partition is not complete.
    """
    lake, pipeline = workspace.lake, workspace.pipeline
    with ThreadPoolExecutor(16) as pool:
        rows = list(pool.map(lambda each: lake.manifest(pipeline.rows_to_score, each), partitions))
        scores = list(pool.map(lambda each: lake.manifest(pipeline.require_scoring().name, each), partitions))
    closed = [manifest for manifest in rows if manifest is not None and manifest.state == "closed"]
    if len(closed) < len(partitions):
        missing = set(partitions) - {manifest.time_partition(lake.calendar) for manifest in closed}
        raise MissingResource(
            f"{lake.uri(lake.layout.dataset(pipeline.rows_to_score))} is not complete in {format_ranges(missing)}; run "
            f"{pipeline.name}_transform on these partitions first, or choose other ones"
        )
    code = code_of(workspace)
    return [
        manifest
        for manifest, made in zip(closed, scores, strict=True)
        if made is None or (made.inputs, made.code) != (inputs_of(manifest, model), code)
    ]


def due_chunks(workspace: Workspace, job: str, partitions: Sequence[Partition]) -> list[str]:
    """Return the partitions that have to be scored, in chunks: one job scores a chunk.

    A chunk is a range, in which partitions that do not have to be scored are left out by who scores it. So the chunks
    of a range are small enough for XCom, whichever of its partitions have to be scored.

    Args:
        workspace: The workspace of a pipeline that declares a scoring.
        job: The training job of the model that scores.
        partitions: The partitions, in order; each must be closed.

    Returns:
        The chunks in which there is something to score, each as ranges.

    Raises:
        MissingResource: a partition is not complete, or the model was never live.
    """
    rows = due_rows(workspace, model_of_job(workspace, job), partitions)
    due = {manifest.time_partition(workspace.lake.calendar): manifest.size for manifest in rows}
    chunks = chunks_by_size({each: due.get(each, Size()) for each in partitions}, _TARGET)
    return [chunk for chunk in chunks if not due.keys().isdisjoint(parse_ranges(chunk, workspace.lake.calendar))]


def inputs_of(rows: Manifest, model: Model) -> Mapping[str, str]:
    """Return the inputs of a partition of scores: its rows, and the model.

    Args:
        rows: The manifest of the rows.
        model: The model that scores them.
    """
    return {f"{rows.dataset}/{rows.partition}": rows.digest, f"{_MODEL}{model.job}": digest_of(model.artefact)}


def code_of(workspace: Workspace) -> str:
    """Return the fingerprint of all else that decides the content of the scores: what the pipeline declares."""
    problem = workspace.pipeline.require_training().problem
    return digest_of([_FORM, workspace.pipeline.require_scoring().keep, problem.columns])


def scored_by(scores: Manifest) -> str:
    """Return the training job of the model that has scored a partition.

    Args:
        scores: The manifest of the scores.
    """
    return next(key.removeprefix(_MODEL) for key in scores.inputs if key.startswith(_MODEL))
