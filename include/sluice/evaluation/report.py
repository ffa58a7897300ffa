"""The report on a verdict: one HTML page in the lake that needs nothing else, with all figures and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sluice.dataset.channels import CHANNELS
from sluice.declaration.metrics import METRICS
from sluice.evaluation.breakdowns import MOST_VALUES
from sluice.evaluation.contest import Contest, Contestant, SlicedRows, read_contest
from sluice.evaluation.pictures import pictures
from sluice.evaluation.verdict import Figure, read_verdict, shown
from sluice.workspace import Workspace

_NOTHING = "\N{EN DASH}"


def make_report(workspace: Workspace, number: int) -> str:
    """Write the report on a verdict. The same verdict gives the same bytes, so it is safe to repeat.

    Args:
        workspace: The workspace of the pipeline that trained.
        number: The number of the verdict, from 1.

    Returns:
        The key of the report: :meth:`sluice.lake.layout.Layout.report` of the number.

    Raises:
        MissingResource: there is no such verdict, or its rows or answers are gone.
        TrainingFailed: the answers are not those of the declared problem.
    """
    lake = workspace.lake
    key, page = lake.layout.report(number), render_report(workspace, number).encode()
    lake.s3.put_object(Bucket=lake.bucket, Key=key, Body=page, ContentType="text/html; charset=utf-8")
    return key


def render_report(workspace: Workspace, number: int) -> str:
    """Return the report on a verdict, as HTML.

    Args:
        workspace: The workspace of the pipeline that trained.
        number: The number of the verdict, from 1.

    Raises:
        MissingResource: there is no such verdict, or its rows or answers are gone.
        TrainingFailed: the answers are not those of the declared problem.
    """
    problem = workspace.pipeline.require_training().problem
    contest = read_contest(workspace, read_verdict(workspace.lake, number))
    templates = Environment(
        loader=PackageLoader("sluice.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html").render(
        pipeline=workspace.pipeline.name,
        number=number,
        problem=str(problem).removesuffix("()"),
        snapshot=contest.snapshot,
        outcome=_outcome(contest),
        reasons=contest.verdict.reasons,
        metric=contest.verdict.metric,
        models=[
            {"name": each.name, "colour": each.colour, "result": _result(contest, each)} for each in contest.contestants
        ],
        test_rows=f"{len(contest.labels):,}",
        figures=list(_figures(contest)),
        facts=list(_facts(contest)),
        rules=list(_rules(contest)),
        parts=[
            (part, contest.snapshot.partitions[part].replace("..", " to "), f"{contest.snapshot.rows[part]:,}")
            for part in CHANNELS
        ],
        pictures=list(pictures(problem, contest)),
        slices=[_sliced(contest, column, rows) for column, rows in contest.slices().items()],
    )


def _outcome(contest: Contest) -> dict[str, str]:
    winner, champion = contest.winner, contest.champion
    if winner is None:
        live = " What is live stays live." if champion else ""
        return {"kind": "none", "headline": f"No model passes the gate.{live}"}
    if winner is champion:
        return {"kind": "stays", "headline": f"{winner.name} stays live."}
    before = f" instead of {champion.name}." if champion else ". There was no champion."
    return {"kind": "new", "headline": f"{winner.name} should go live{before}"}


def _result(contest: Contest, contestant: Contestant) -> str:
    judgement = contestant.judgement
    if contestant is contest.winner:
        return "wins"
    if judgement.objections:
        return "breaks a rule"
    return "may be worse" if judgement.lost is not None else "passes"


def _figures(contest: Contest) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric, with the models as columns, and one for the gain over the champion."""
    judgements = [each.judgement for each in contest.contestants]
    for metric in judgements[0].metrics:
        found = [judgement.metrics[metric] for judgement in judgements]
        gains = [METRICS[metric].gain(each.value, 0) for each in found if each.value is not None]
        best = max(gains, default=None)
        cells = [
            _cell(each, best=each.value is not None and METRICS[metric].gain(each.value, 0) == best) for each in found
        ]
        yield {"name": metric, "is_gate": metric == contest.verdict.metric, "cells": cells}
    if contest.champion:
        cells = [
            _cell(None if each is contest.champion else each.judgement.gain, signed=True)
            for each in contest.contestants
        ]
        yield {"name": f"gain in {contest.verdict.metric} over the champion", "is_gate": False, "cells": cells}


def _cell(figure: Figure | None, *, best: bool = False, signed: bool = False) -> dict[str, Any]:
    if figure is None or figure.value is None:
        return {"value": _NOTHING, "interval": "", "best": False}
    ends = (figure.low, figure.high)
    interval = "" if None in ends else " to ".join(_number(end, signed=signed) for end in ends)
    return {"value": _number(figure.value, signed=signed), "interval": interval, "best": best}


def _facts(contest: Contest) -> Iterator[tuple[str, list[str]]]:
    judgements = [each.judgement for each in contest.contestants]
    models = [judgement.model for judgement in judgements]
    yield f"{contest.verdict.metric}, validation rows", [_number(each.validation) for each in judgements]
    yield "trained (UTC)", [f"{model.trained:%Y-%m-%d %H:%M}" for model in models]
    yield "training time", [f"{model.seconds:,} s" for model in models]
    yield "instance", [model.instance_type for model in models]
    yield "training job", [model.job for model in models]


def _rules(contest: Contest) -> Iterator[tuple[str, str]]:
    yield "metric", contest.verdict.metric
    for name, value in contest.verdict.rules.items():
        if value not in (None, (), []):
            yield name, ", ".join(value) if isinstance(value, tuple) else f"{value:,.10g}"


def _sliced(contest: Contest, column: str, found: Sequence[SlicedRows]) -> dict[str, Any]:
    return {
        "column": column,
        "rows": [
            {
                "value": each.value,
                "rows": f"{each.rows:,}",
                "cells": [
                    {"value": _number(value), "broken": _is_broken(contest, value)} for value in each.reached.values()
                ],
            }
            for each in found[:MOST_VALUES]
        ],
        "left": max(0, len(found) - MOST_VALUES),
    }


def _is_broken(contest: Contest, value: float | None) -> bool:
    bound = contest.verdict.rules["each_slice"]
    if value is None or not isinstance(bound, float):
        return False
    return not METRICS[contest.verdict.metric].reaches(value, bound)


def _number(value: float | None, *, signed: bool = False) -> str:
    """Return a number with about five digits that count."""
    if value is None:
        return _NOTHING
    if 0 < abs(value) < 1e-3:
        return shown(value, signed=signed)
    decimals = 4 if abs(value) < 10 else 2 if abs(value) < 1_000 else 0
    return f"{value:{'+' if signed else ''},.{decimals}f}"
