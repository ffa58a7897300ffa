"""How good a live model still is: its answers against the outcomes, and the drift of its features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from botocore.exceptions import ClientError

from sluice.aws.failures import explain, is_transient
from sluice.dataset.formats.csv import csv_rows
from sluice.dataset.profile import Profile, drift, read_profile, stability_index
from sluice.dataset.snapshot import Snapshot, read_snapshot
from sluice.errors import DeploymentFailed
from sluice.evaluation.bootstrap import interval, resampled
from sluice.evaluation.metrics import Numbers, measure
from sluice.evaluation.verdict import Figure
from sluice.lake.partitions import Partition
from sluice.monitoring.window import Window, newest_partitions, read_window
from sluice.serving.probe import invoke
from sluice.training.models import Model
from sluice.workspace import Workspace

_ROWS_OF_A_CALL = 500  # so that no client of the endpoint waits long behind a call
_DRAWS, _SEED, _RARE = 1_000, 2013, 0.999


@dataclass(frozen=True)
class Quality:
    """How good the model is on the window.

    ``judged`` rows have ``metrics``; there are none if fewer rows have an outcome than the gate asks for. ``drift`` is
    the population stability index by feature, and ``by_chance`` is the one that as many train rows rarely exceed.
    ``refusal`` is why the endpoint did not answer; empty if it did, or was not asked.
    """

    partitions: tuple[Partition, ...] = ()
    rows: int = 0
    judged: int = 0
    metrics: Mapping[str, Figure] = field(default_factory=dict)
    drift: Mapping[str, float] = field(default_factory=dict)
    by_chance: Mapping[str, float] = field(default_factory=dict)
    refusal: str = ""


def measure_quality(workspace: Workspace, model: Model, *, serves: bool) -> Quality:
    """Judge the live model on the newest partitions after its training data.

    Args:
        workspace: The workspace of a pipeline that watches its model.
        model: The model that is live.
        serves: Whether the endpoint answers with this model; if not, it is not asked.

    Raises:
        MissingResource: the snapshot that the model was trained on does not exist.
        DeclarationError: the rows lack a feature of the model, or the label.
        ClientError: the endpoint failed transiently.
    """
    snapshot = read_snapshot(workspace.lake, model.snapshot)
    partitions = newest_partitions(
        workspace, max(Partition.parse(key, workspace.pipeline.calendar) for key in snapshot.revisions)
    )
    if not partitions:
        return Quality()
    window = read_window(workspace, partitions, snapshot.encoding.features)
    profile = read_profile(workspace.lake, model.snapshot)
    judges = serves and len(window.labels) >= workspace.pipeline.require_training().gate.rows
    metrics, refusal = _judge(workspace, model, snapshot, window) if judges else ({}, "")
    return Quality(
        partitions=window.partitions,
        rows=window.rows,
        judged=len(window.labels) if metrics else 0,
        metrics=metrics,
        drift=drift(profile, window.features),
        by_chance=chance_drift(profile, len(window.features)),
        refusal=refusal,
    )


def chance_drift(profile: Profile, rows: int) -> Mapping[str, float]:
    """Return the stability index that as many rows, if drawn from the train rows, exceed once in a thousand times.

    Few rows drift by chance, the more so the more values a category has.

    Args:
        profile: That of the train rows.
        rows: How many rows are drawn.
    """
    random = np.random.default_rng(_SEED)
    found = {}
    for name, feature in profile.features.items():
        shares = np.maximum(feature.expected, 0)
        draws = random.multinomial(rows, shares / shares.sum(), size=_DRAWS) / rows
        found[name] = float(np.quantile(stability_index(feature.expected, draws), _RARE))
    return found


def _judge(workspace: Workspace, model: Model, snapshot: Snapshot, window: Window) -> tuple[Mapping[str, Figure], str]:
    """Return the metrics of the endpoint's answers; none, and the reason, if it refuses the rows."""
    rows = csv_rows(snapshot.encoding.encode(window.judged, filled=not model.takes_missing))
    try:
        answers = _ask(workspace, model, rows)
    except (ClientError, DeploymentFailed) as error:
        if is_transient(error):
            raise
        return {}, explain(error)
    metrics = workspace.pipeline.require_training().problem.metrics
    labels, groups = window.labels, window.groups
    draws = resampled(metrics, labels, {"live": answers}, groups)["live"]
    return {each: _figure(measure(each, labels, answers, groups), draws[each]) for each in metrics}, ""


def _ask(workspace: Workspace, model: Model, rows: Sequence[str]) -> Numbers:
    endpoint = workspace.pipeline.require_deployment().endpoint
    parts = [rows[first : first + _ROWS_OF_A_CALL] for first in range(0, len(rows), _ROWS_OF_A_CALL)]
    return np.concatenate([invoke(workspace, endpoint, model, part) for part in parts])


def _figure(value: float, draws: Numbers) -> Figure:
    found, low, high = (None if math.isnan(each) else each for each in (value, *interval(draws)))
    return Figure(value=found, low=low, high=high)
