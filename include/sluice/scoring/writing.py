"""Writes the answers of a model into the lake: the kept columns and the scores of each partition, the manifest last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sluice.completions import announce_partitions
from sluice.errors import SluiceError
from sluice.evaluation.answers import read_answers
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition, covering_ranges, format_ranges, parse_ranges
from sluice.scoring.batches import answers_key, read_table
from sluice.scoring.due import code_of, due_rows, inputs_of
from sluice.serving.champion import model_of_job
from sluice.steps.output import Output, commit
from sluice.training.algorithms.contract import algorithm_named
from sluice.training.models import Model
from sluice.workspace import Workspace


def write_scores(workspace: Workspace, job: str, ranges: str) -> dict[str, Any]:
    """Write the scores of those partitions that are due, one partition after another.

    Args:
        workspace: The workspace of a pipeline that declares a scoring.
        job: The training job of the model that has scored them.
        ranges: The partitions, as ranges.

    Returns:
        A summary for XCom: ``partitions`` as ranges that cover those that were written, and the sum of ``rows``.

    Raises:
        MissingResource: a partition is not complete.
        SluiceError: the answers for a partition are absent, or are not those of the declared problem.
        ConflictingWrite: other runs keep writing the same partition.
    """
    model = model_of_job(workspace, job)
    due = due_rows(workspace, model, parse_ranges(ranges, workspace.pipeline.calendar))
    for rows in due:
        commit(
            Look(workspace.lake),
            workspace.pipeline.require_scoring().name,
            rows.time_partition(workspace.lake.calendar),
            Output(_scored(workspace, model, rows)),
            inputs=inputs_of(rows, model),
            code=code_of(workspace),
            rows_in=rows.rows_out,
        )
    written = covering_ranges(rows.time_partition(workspace.lake.calendar) for rows in due)
    return {"partitions": written, "rows": sum(rows.rows_out for rows in due)}


def announce_scores(workspace: Workspace, job: str, partitions: Sequence[Partition], run_id: str) -> int:
    """Publish the event of each partition whose scores were not announced yet, and require that all have their scores.

    Args:
        workspace: The workspace of a pipeline that declares a scoring.
        job: The training job of the model that has scored them.
        partitions: The partitions.
        run_id: The Airflow run that publishes, for the event.

    Returns:
        The number of events that were published.

    Raises:
        SluiceError: partitions have no scores, or older ones: a task was skipped or marked by hand.
    """
    dataset = workspace.pipeline.require_scoring().name
    announced = announce_partitions(workspace, dataset, format_ranges(partitions), run_id)
    missing = due_rows(workspace, model_of_job(workspace, job), partitions)
    if missing:
        lacking = format_ranges(rows.time_partition(workspace.lake.calendar) for rows in missing)
        raise SluiceError(
            f"{lacking} has no scores of the model of {job}: the rows "
            f"have changed since, or a task was skipped or marked by hand; clear this run"
        )
    return announced


def _scored(workspace: Workspace, model: Model, rows: Manifest) -> pa.Table:
    table = read_table(workspace, rows)
    table = table.select([name for name in workspace.pipeline.require_scoring().keep if name in table.column_names])
    for name, values in _columns(workspace, model, rows).items():
        table = table.append_column(name, pa.array(values))
    return table


def _columns(workspace: Workspace, model: Model, rows: Manifest) -> Mapping[str, Any]:
    """Return the scores by column: floats, and the most probable class as a whole number."""
    lake, problem = workspace.lake, workspace.pipeline.require_training().problem
    key = answers_key(workspace, model, rows)
    body = lake.read(key) if rows.rows_out else b""
    if body is None:
        raise SluiceError(
            f"{lake.uri(key)}, the answers for {rows.partition}, is not there: the rows have changed since they were "
            f"scored, or it was removed; clear `launch`"
        )
    try:
        answers = read_answers(algorithm_named(model.algorithm), body.decode(), problem.scores)
    except ValueError as error:
        raise SluiceError(
            f"{lake.uri(key)} has answers that are not those of {problem} ({error}); train with the declared problem"
        ) from error
    if len(answers) != rows.rows_out:
        raise SluiceError(
            f"{lake.uri(key)} has {len(answers)} answers for {rows.rows_out} rows; remove it, then clear `launch`"
        )
    if answers.ndim == 1:
        return dict(zip(problem.columns, [answers], strict=True))
    return dict(zip(problem.columns, [np.argmax(answers, axis=1), *answers.T], strict=True))
