"""The process of a transform job: sends the records of each file to the model, and writes ``<file>.out``."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import BinaryIO, cast

from localcloud.sagemaker.algorithms import catalog
from localcloud.sagemaker.algorithms.serving import Invocation, ModelServer
from localcloud.sagemaker.jobs.child import AlgorithmError, UserError, run
from localcloud.sagemaker.jobs.container import Layout
from localcloud.sagemaker.transform.associations import Association, Path, PathError
from localcloud.sagemaker.transform.batches import SplitError, batches, body, records
from localcloud.sagemaker.transform.documents import Plan, Transformation, TransformInput

INPUT = "input"
PLAN = "transform.json"

_MIB = 1024**2
_SEE_LOGS = "See job logs for more information"

logger = logging.getLogger(__name__)


class _BadAnswerError(Exception):
    """The model refuses a batch, so the batch's file gets no output."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def transform(layout: Layout) -> None:
    """Transform every file of the input. A file that fails has no output and doesn't stop the others.

    Raises:
        UserError: The model refused a file.
        AlgorithmError: The model can't be loaded, or failed.
    """
    plan: Plan = json.loads((layout.config / PLAN).read_text())
    algorithm = catalog.by_image(plan["Image"])
    if algorithm is None:
        raise UserError(f"this stand-in knows the repositories {', '.join(catalog.repositories())}")
    try:
        model = algorithm.load(layout.model, plan["Environment"])
    except ValueError as error:
        raise AlgorithmError(str(error)) from error
    worst, source = 0, layout.data / INPUT
    logger.info(
        "[sagemaker logs]: MaxConcurrentTransforms=%s, MaxPayloadInMB=%s, BatchStrategy=%s",
        *(plan["MaxConcurrentTransforms"], plan["MaxPayloadInMB"], plan["BatchStrategy"]),
    )
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        name = str(path.relative_to(source))
        try:
            _transform(path, layout.output_data / f"{name}.out", plan, model)
        except _BadAnswerError as error:
            worst = max(worst, error.status)
            logger.error("[sagemaker logs]: %s: Bad HTTP status received from algorithm: %d", name, error.status)
            logger.error("[sagemaker logs]: %s: Message: %s", name, error)
        except (SplitError, PathError, UnicodeDecodeError, json.JSONDecodeError, gzip.BadGzipFile, EOFError) as error:
            worst = max(worst, 400)
            logger.error("[sagemaker logs]: %s: %s", name, error)
    if worst >= 500:
        raise AlgorithmError(_SEE_LOGS)
    if worst:
        raise UserError(_SEE_LOGS)


def _transform(path: FilePath, to: FilePath, plan: Plan, model: ModelServer) -> None:
    """Write the output of one file, whole or not at all."""
    to.parent.mkdir(parents=True, exist_ok=True)
    unfinished = to.with_name(f".{to.name}.unfinished")
    try:
        with _opened(path, plan["TransformInput"]) as file, unfinished.open("wb") as output:
            for part in _answers(file, plan, model):
                output.write(part)
        unfinished.rename(to)
    finally:
        unfinished.unlink(missing_ok=True)


def _answers(file: BinaryIO, plan: Plan, model: ModelServer) -> Iterator[bytes]:
    split = plan["TransformInput"].get("SplitType", "None")
    end = b"\n" if plan["TransformOutput"].get("AssembleWith") == "Line" else b""
    association = association_of(plan)
    for batch in batches(
        records(file, split),
        strategy=plan["BatchStrategy"],
        split=split,
        most=plan["MaxPayloadInMB"] * _MIB,
    ):
        sent = batch if association is None else [association.sent(record) for record in batch]
        answer = _invoke(model, body(sent, split), plan)
        if association is not None and association.per_record:
            lines = answer.rstrip(b"\n").split(b"\n")
            if len(lines) != len(batch):
                raise SplitError(f"{len(batch)} records were sent in a request, but {len(lines)} lines came back")
            for record, line in zip(batch, lines, strict=True):
                yield association.kept(record, line) + b"\n"
        else:
            # XGBoost's answers in batch mode have a line end already; they get no second one.
            yield answer if answer.endswith(b"\n") else answer + end


def _invoke(model: ModelServer, content: bytes, plan: Plan) -> bytes:
    answer = model.invoke(
        Invocation(content, plan["TransformInput"].get("ContentType"), plan["TransformOutput"].get("Accept"))
    )
    if answer.status >= 400:
        raise _BadAnswerError(answer.status, answer.body.decode(errors="replace"))
    return answer.body


def association_of(request: Transformation) -> Association | None:
    """Return the filters and the join of DataProcessing; None if there are none.

    Raises:
        PathError: A path isn't supported.
    """
    processing = request.get("DataProcessing", {})
    chosen = Association(
        input_filter=Path.of(processing.get("InputFilter", "$")),
        output_filter=Path.of(processing.get("OutputFilter", "$")),
        joins=processing.get("JoinSource", "None") == "Input",
        is_csv="csv" in request["TransformInput"].get("ContentType", ""),
    )
    return chosen if chosen.per_record or chosen.input_filter.text != "$" else None


@contextlib.contextmanager
def _opened(path: FilePath, source: TransformInput) -> Iterator[BinaryIO]:
    if source.get("CompressionType", "None") == "Gzip":
        with gzip.open(path, "rb") as unzipped:
            yield cast("BinaryIO", unzipped)
    else:
        with path.open("rb") as file:
            yield file


if __name__ == "__main__":
    run(transform)
