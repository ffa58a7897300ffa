"""Launches the transform jobs that score partitions: each is paid for once, and what has an answer is not asked again.

The answers of a model lie in one folder, in a file for each partition that is named by the digest of its rows. So a run
that was killed anywhere goes on: a job that runs is adopted, and answers that exist are used, whichever job gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from sluice.dataset.encodings import Encoding
from sluice.dataset.formats.csv import csv_rows
from sluice.dataset.snapshot import read_snapshot
from sluice.dataset.values import Unreadable
from sluice.errors import DeclarationError
from sluice.evaluation.transforms import launch_transform, transform_request
from sluice.lake.manifests import Manifest, digest_of
from sluice.lake.partitions import parse_ranges
from sluice.lake.store import Lake
from sluice.scoring.due import due_rows
from sluice.serving.champion import model_of_job
from sluice.steps.frames import to_frame
from sluice.steps.reading import read_output
from sluice.training.models import Model
from sluice.workspace import Workspace


def launch_batch(workspace: Workspace, job: str, ranges: str) -> str | None:
    """Reuse, adopt or start the job that scores those partitions that are due and have no answers yet.

    Args:
        workspace: The workspace of a pipeline that declares a scoring.
        job: The training job of the model that scores.
        ranges: The partitions, as ranges.

    Returns:
        The name of the transform job; None if there is nothing to score.

    Raises:
        MissingResource: a partition is not complete, or the model or its snapshot is gone.
        DeclarationError: the rows lack a column that the model takes or the scoring keeps, or hold a value that the
            model does not take.
        TrainingFailed: five attempts of this request have failed or were stopped.
    """
    lake, model = workspace.lake, model_of_job(workspace, job)
    rows = [
        manifest for manifest in due_rows(workspace, model, parse_ranges(ranges, lake.calendar)) if manifest.rows_out
    ]
    unanswered = _unanswered(workspace, model, rows)
    if not unanswered:
        return None
    folder = lake.layout.batch_rows(job, digest_of([_file(lake, manifest) for manifest in unanswered])[:16])
    encoding = read_snapshot(lake, model.snapshot).encoding
    for manifest in unanswered:
        lines = _lines(workspace, model, encoding, manifest)
        lake.create(f"{folder}{_file(lake, manifest)}", "".join(f"{line}\n" for line in lines).encode())
    answers, instance_type = lake.layout.batch_answers(job), workspace.pipeline.require_scoring().instance_type
    request = transform_request(workspace, model, folder, lambda _: answers, instance_type)
    launched = launch_transform(workspace, model, request, lambda: not _unanswered(workspace, model, unanswered))
    return launched.job_name


def answers_key(workspace: Workspace, model: Model, rows: Manifest) -> str:
    """Return the key of the answers of a model for a partition.

    Args:
        workspace: The workspace of a pipeline that declares a scoring.
        model: The model that scores.
        rows: The manifest of the partition's rows.
    """
    return f"{workspace.lake.layout.batch_answers(model.job)}{_file(workspace.lake, rows)}.out"


def read_table(workspace: Workspace, rows: Manifest) -> pa.Table:
    """Return the rows of a partition, as their step has written them.

    Args:
        workspace: The workspace of a pipeline that declares a scoring.
        rows: The manifest of the rows.

    Raises:
        DeclarationError: they lack a column that the scoring keeps.
    """
    tables = [read_output(workspace.lake, file) for file in rows.files]
    table = pa.concat_tables(tables, promote_options="permissive")
    missing = [column for column in workspace.pipeline.require_scoring().keep if column not in table.column_names]
    if missing and rows.rows_out:  # a step that returns no rows may leave out its columns
        raise DeclarationError(
            f"step {rows.dataset!r} writes no column {', '.join(missing)} in {rows.partition}, which the scoring "
            f"keeps; write it in the step, or correct the declaration"
        )
    return table


def _file(lake: Lake, rows: Manifest) -> str:
    return f"{rows.time_partition(lake.calendar).label}-{rows.digest[:16]}.csv"


def _unanswered(workspace: Workspace, model: Model, rows: Sequence[Manifest]) -> list[Manifest]:
    """Return the partitions without answers. Each is looked up by itself: a model has more and more answers (P15)."""
    with ThreadPoolExecutor(16) as pool:
        answered = pool.map(lambda each: any(workspace.lake.objects(answers_key(workspace, model, each))), rows)
        return [manifest for manifest, found in zip(rows, answered, strict=True) if not found]


def _lines(workspace: Workspace, model: Model, encoding: Encoding, rows: Manifest) -> list[str]:
    """Return the rows of a partition as the model takes them."""
    frame = to_frame([read_table(workspace, rows)])
    try:
        return csv_rows(encoding.encode(frame, filled=not model.takes_missing))
    except (DeclarationError, Unreadable) as error:
        raise DeclarationError(f"step {rows.dataset!r} in {rows.partition}: {error}") from error
