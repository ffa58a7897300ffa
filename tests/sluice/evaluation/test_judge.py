"""Models are judged by the answers of the model that is served, on the same rows, and by the declared rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.clients import MODEL
from tests.sluice.lake_contents import put_rows
from tests.sluice.serving.live import Live, auc_of, judged, trained

from sluice.dataset.snapshot import make_snapshot, snapshot_rows
from sluice.declaration.gate import Gate
from sluice.errors import MissingResource, TrainingFailed
from sluice.evaluation.diagnosis import Calibration
from sluice.evaluation.judge import decide, judge
from sluice.evaluation.verdict import Figure, Judgement, Slice, read_verdict, record_verdict, require_winner
from sluice.training.jobs import completed_job
from sluice.workspace import Workspace

Settings = Mapping[str, str | int | float]

OVERFITTING: Settings = {"num_round": 200, "max_depth": 8, "eta": 0.9, "seed": 1}
STOPPING: Settings = {**OVERFITTING, "early_stopping_rounds": 10}
DART: Settings = {"booster": "dart", "rate_drop": 0.5, "skip_drop": 0.2, "num_round": 30, "max_depth": 6, "eta": 0.9}


@pytest.fixture
def noisy(workspace: Workspace) -> Workspace:
    """A lake of rows that a model soon learns by heart."""
    random = np.random.default_rng(0)
    for day in range(1, 8):
        value, total = random.normal(size=(2, 400))
        late = ((value + 2 * random.normal(size=400)) > 0).astype(int)
        rows = pd.DataFrame({"value": value, "total": total, "late": late})
        put_rows(workspace.lake, "running", f"2013-01-{day:02d}", rows)
    return workspace


@pytest.mark.parametrize(
    ("settings", "printed_is_served"),
    [
        pytest.param({"num_round": 5}, True, id="plain"),
        pytest.param(STOPPING, False, id="stopping"),
        pytest.param(OVERFITTING, True, id="overfitting", marks=pytest.mark.slow),
        pytest.param(
            {**STOPPING, "save_model_on_termination": "true"}, False, id="on-termination", marks=pytest.mark.slow
        ),
        # The last metric decides which round is best.
        pytest.param({**STOPPING, "eval_metric": "auc,logloss"}, False, id="two-metrics", marks=pytest.mark.slow),
        pytest.param({**DART, "seed": 3}, True, id="dart", marks=pytest.mark.slow),
        pytest.param(
            {**DART, "seed": 3, "early_stopping_rounds": 3}, False, id="dart-stopping", marks=pytest.mark.slow
        ),
        pytest.param({"booster": "gblinear", "num_round": 5}, True, id="linear", marks=pytest.mark.slow),
        pytest.param({"_kfold": 3, "num_round": 5}, False, id="folds", marks=pytest.mark.slow),
    ],
)
def test_model_that_is_served_is_judged(noisy: Workspace, settings: Settings, printed_is_served: bool) -> None:
    """GIVEN a job whose last printed round may not be the model that it saved THEN the saved one is judged."""
    fingerprint = make_snapshot(noisy).fingerprint
    model = trained(noisy, fingerprint, **settings)

    (judgement,) = judged(noisy, [model], None, fingerprint).judgements

    assert judgement.validation is not None
    printed = completed_job(noisy, model.job).metrics["validation:auc"]
    assert (abs(judgement.validation - printed) < 1e-4) == printed_is_served


def test_verdict_has_what_each_model_reaches(live: Live) -> None:
    verdict = read_verdict(live.workspace.lake, live.verdict)

    assert (verdict.snapshot, verdict.metric, verdict.champion) == (live.fingerprint, "auc", None)
    assert [each.model.job for each in verdict.judgements] == [live.model.job, live.other.job]
    judgement = verdict.judgement(live.model.job)
    assert judgement.metrics["auc"].value == pytest.approx(live.auc_of("test"), abs=1e-9)
    assert judgement.validation == pytest.approx(live.auc_of("validation"), abs=1e-9)
    assert set(judgement.metrics) == {
        "auc",
        "average_precision",
        "log_loss",
        "accuracy",
        "balanced_accuracy",
        "f1",
    }
    other = completed_job(live.workspace, live.other.job)
    assert verdict.judgement(live.other.job).metrics["auc"].value == pytest.approx(
        auc_of(live.workspace.lake, live.fingerprint, other, "test"), abs=1e-9
    )
    for figure in judgement.metrics.values():
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < figure.value < figure.high  # type: ignore[operator]
    assert verdict.winner == live.model.job
    assert isinstance(judgement.diagnosis, Calibration)
    assert sum(each.rows for each in judgement.diagnosis.bins) == judgement.rows
    mean_label = snapshot_rows(live.workspace.lake, live.fingerprint, "test")["late"].mean()
    observed = [each.observed * each.rows for each in judgement.diagnosis.bins]
    assert sum(observed) / judgement.rows == pytest.approx(mean_label)
    assert set(judgement.drift) == {"value", "total"}
    with pytest.raises(MissingResource, match="is not about no-such-job"):
        verdict.judgement("no-such-job")


def test_verdict_is_the_same_each_time_and_recorded_once(live: Live) -> None:
    again = judge(live.workspace, [live.model, live.other], None, live.fingerprint)

    assert again == read_verdict(live.workspace.lake, live.verdict)
    assert record_verdict(live.workspace.lake, again) == live.verdict
    with pytest.raises(MissingResource, match="has no verdict 99; run toy_train"):
        read_verdict(live.workspace.lake, 99)


def test_model_without_answers_is_not_judged(live: Live) -> None:
    unscored = live.model.model_copy(update={"artefact": "s3://bucket/another"})

    with pytest.raises(MissingResource, match=r"/scores/toy-scores-\w{16}/test\.csv\.out is gone"):
        judge(live.workspace, [unscored], None, live.fingerprint)


def test_answers_that_are_not_one_for_each_row_are_refused(live: Live) -> None:
    lake, scores = live.workspace.lake, read_verdict(live.workspace.lake, live.verdict).judgement(live.model.job).scores
    key = f"{scores}test.csv.out"
    kept = lake.get(key)
    try:
        for body, message in (
            (kept + b"0.5\n", r"answered 61 of 60 test rows"),
            (kept[: kept.rindex(b"\n", 0, -1)], r"answered 59 of 60 test rows"),
            (kept.replace(b"\n", b",0.5\n", 1), r"not those of Binary\(\): line 1 has 2 numbers, not 1"),
            (b"nan\n" + kept, r"not those of Binary\(\): a number is not finite"),
        ):
            lake.put(key, body)
            with pytest.raises(TrainingFailed, match=message):
                judge(live.workspace, [live.model], None, live.fingerprint)
    finally:
        lake.put(key, kept)


def judgement(job: str, auc: float | None, rows: int = 1000, **more: Any) -> Judgement:
    return Judgement(
        model=MODEL.model_copy(update={"job": job}),
        scores=f"toy/evaluations/scores/{job}/",
        rows=rows,
        metrics={"auc": Figure(value=auc), "log_loss": Figure(value=auc)},
        validation=0.7,
        **more,
    )


def gain(value: float, low: float) -> Figure:
    return Figure(value=value, low=low, high=2 * value - low)


GATE = Gate("auc", at_least=0.6)  # the margin is 0.02 of the champion's value


def winner(gate: Gate, champion: str | None, *judgements: Judgement, challengers: str = "ab") -> str | None:
    return decide(gate, "f" * 32, list(challengers), champion, judgements).winner


def test_best_challenger_wins_where_nothing_is_live() -> None:
    verdict = decide(GATE, "f" * 32, ["a", "b"], None, [judgement("a", 0.7), judgement("b", 0.71)])

    assert verdict.winner == "b"
    assert verdict.reasons == ("a passes, too: its auc is 0.7000", "b should be live: its auc is 0.7100")
    assert winner(GATE, None, judgement("a", 0.7), judgement("b", 0.59)) == "a"


def test_lowest_loss_wins() -> None:
    gate = Gate("log_loss", at_most=0.69)

    assert winner(gate, None, judgement("a", 0.5), judgement("b", 0.4)) == "b"
    assert winner(gate, None, judgement("a", 0.5), judgement("b", 0.7)) == "a"


@pytest.mark.parametrize(
    ("gate", "broken", "reason"),
    [
        (GATE, judgement("a", 0.59999), "a has auc 0.6000 on the test rows, and the gate is at 0.6"),
        (GATE, judgement("a", None), "a has auc nan on the test rows, and the gate is at 0.6"),
        (replace(GATE, rows=1001), judgement("a", 0.9), "a was tested on 1000 rows, and the gate asks for 1001"),
        (
            replace(GATE, slices=("origin",), each_slice=0.55),
            judgement("a", 0.9, slices=(Slice(column="origin", value="EWR", rows=70, reached=0.5),)),
            "a has auc 0.5000 on the 70 rows with origin=EWR, and each slice must reach 0.55",
        ),
    ],
    ids=["floor", "not-measured", "rows", "slice"],
)
def test_rule_that_a_model_breaks_keeps_it_from_going_live(gate: Gate, broken: Judgement, reason: str) -> None:
    verdict = decide(gate, "f" * 32, ["a"], None, [broken])

    assert verdict.winner is None
    assert verdict.reasons == (reason,)
    with pytest.raises(TrainingFailed) as failure:
        require_winner(verdict)
    assert str(failure.value) == (
        f"no model passes the gate, so nothing is deployed: {reason}; look at the data, or change the gate in the "
        f"declaration"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.234567e-9, "1.235e-09"), (0.00099, "0.00099"), (0.001, "0.0010"), (12.34567, "12.3457"), (2.5e11, "2.5e+11")],
)
def test_reason_shows_a_value_of_any_unit(value: float, text: str) -> None:
    verdict = decide(Gate("log_loss", at_most=1e12), "f" * 32, ["a"], None, [judgement("a", value)])

    assert verdict.reasons == (f"a should be live: its log_loss is {text}",)


def test_slice_that_could_not_be_measured_is_no_objection() -> None:
    gate = replace(GATE, slices=("origin",), each_slice=0.55)
    slices = (Slice(column="origin", value="EWR", rows=70, reached=None),)

    assert winner(gate, None, judgement("a", 0.9, slices=slices)) == "a"


@pytest.mark.parametrize(
    ("value", "low", "wins"),
    [(0.01, 0.002, True), (0.01, -0.013, True), (-0.005, -0.0139, True), (0.01, -0.0141, False), (-0.02, -0.03, False)],
)
def test_challenger_replaces_the_champion_if_its_interval_supports_the_margin(
    value: float, low: float, wins: bool
) -> None:
    """The champion has 0.7, so the margin is 0.014."""
    champion, challenger = judgement("old", 0.7), judgement("a", 0.7 + value, gain=gain(value, low))

    verdict = decide(GATE, "f" * 32, ["a"], "old", [champion, challenger])

    assert verdict.winner == ("a" if wins else "old")
    if not wins:
        assert verdict.judgement("a").lost == (
            f"may be worse than the champion by {-low:.4f} auc (the difference is {value:+.4f}, its interval begins at "
            f"{low:+.4f}), and the margin is 0.0140"
        )
    assert require_winner(verdict).model.job == verdict.winner


def test_champion_that_can_not_be_judged_holds_nobody_back() -> None:
    challenger = judgement("a", 0.7, gain=Figure(value=None))

    assert winner(GATE, "old", judgement("old", None), challenger) == "a"


def test_challenger_below_the_gate_leaves_no_winner_although_a_champion_is_live() -> None:
    """What is live stays live, and the run fails, because no new model can be made."""
    assert winner(GATE, "old", judgement("old", 0.5), judgement("a", 0.55, gain=gain(0.05, 0.01))) is None


def test_champion_that_was_trained_again_with_nothing_new_stays() -> None:
    """Another candidate that is a little worse, but within the margin, must not replace it."""
    champion, challenger = judgement("b", 0.7, gain=gain(0, 0)), judgement("a", 0.695, gain=gain(-0.005, -0.01))

    assert winner(GATE, "b", champion, challenger) == "b"


def test_challenger_is_compared_with_the_champion_on_the_same_draws(live: Live) -> None:
    """The difference of a model with itself is 0 in each draw; that of a worse model is below 0."""
    verdict = judge(live.workspace, [live.model, live.other], live.model, live.fingerprint)

    same, worse = verdict.judgement(live.model.job).gain, verdict.judgement(live.other.job).gain
    assert same == Figure(value=0, low=0, high=0)
    assert worse is not None
    assert worse.value is not None
    reached = {each.model.job: each.metrics["auc"].value for each in verdict.judgements}
    assert worse.value == pytest.approx(reached[live.other.job] - reached[live.model.job])  # type: ignore[operator]
    assert worse.low < worse.value < worse.high  # type: ignore[operator]
