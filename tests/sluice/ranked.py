"""The toy as a ranking: the rows of a query in order of their relevance, which ``value`` tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from tests.sluice.lake_contents import put_rows
from tests.sluice.toy import TOY

from sluice.declaration import Gate, Pipeline, Ranking, XGBoost
from sluice.lake.store import Lake

BOOSTED = {"objective": "rank:ndcg", "eval_metric": "ndcg", "num_round": 10, "max_depth": 3, "nthread": 1}
TRAINING = replace(
    TOY.require_training(),
    label="relevance",
    problem=Ranking("query", highest=4),
    candidates=(XGBoost(BOOSTED, channel_format="libsvm"),),
    gate=Gate("ndcg", at_least=0.6, rows=1),
)


def ranked(**changes: Any) -> Pipeline:
    """Return the pipeline with some members of its training changed."""
    return replace(TOY, training=replace(TRAINING, **changes))


def results(day: int, queries: int = 12, most: int = 9) -> pd.DataFrame:
    """Return the rows of a day's queries, mixed with each other."""
    random = np.random.default_rng(day)
    names = [f"{day}-{n}" for n in range(queries) for _ in range(random.integers(1, most))]
    relevance = random.integers(0, 5, len(names))
    rows = pd.DataFrame({"query": names, "relevance": relevance})
    rows["value"] = (relevance + random.normal(0, 1, len(names))).round(3)
    rows["total"] = np.where(random.random(len(names)) < 0.2, np.nan, random.normal(size=len(names)).round(3))
    rows["device"] = random.choice(["phone", "desk"], len(names))
    return rows.sample(frac=1, random_state=day, ignore_index=True)


def put_results(lake: Lake, days: Sequence[int], **of_a_day: int) -> pd.DataFrame:
    """Put the rows of days of January 2013; return them with their day."""
    frames = [results(day, **of_a_day).assign(day=day) for day in days]
    for day, frame in zip(days, frames, strict=True):
        put_rows(lake, "running", f"2013-01-{day:02d}", frame.drop(columns="day"))
    return pd.concat(frames, ignore_index=True)


def ndcg(rows: pd.DataFrame, scores: Any) -> float:
    """Return the mean NDCG of the queries by its definition, without those whose rows have one relevance.

    Rows of one score share the mean discount of their places.
    """
    scored = rows.assign(score=np.asarray(scores), gain=2.0 ** rows["relevance"] - 1)
    return float(np.mean([_gain(some, "score") / _gain(some, "relevance") for some in _with_an_order(scored)]))


def _with_an_order(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    return (some for _, some in rows.groupby("query") if some["relevance"].nunique() > 1)


def _gain(rows: pd.DataFrame, by: str) -> float:
    ordered = rows.sort_values(by, ascending=False)
    discounts = pd.Series(1 / np.log2(np.arange(2, len(rows) + 2)), index=ordered.index)
    return float((ordered["gain"] * discounts.groupby(ordered[by]).transform("mean")).sum())
