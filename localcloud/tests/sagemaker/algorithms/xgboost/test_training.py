"""Training jobs: what the container's transcripts don't show, by the container's code."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import xgboost
from tests.sagemaker.algorithms.xgboost.jobs import FEATURES, LABELS, Files, Job, csv, prepared

import localcloud
from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.xgboost import boosting, training
from localcloud.sagemaker.jobs.child import AlgorithmError, UserError
from localcloud.testing.waiting import wait_for

TRAIN: Files = {"train": {"a.csv": csv()}}
BOTH: Files = {"train": {"a.csv": csv()}, "validation": {"b.csv": csv(LABELS[::-1])}}
BINARY = {"objective": "binary:logistic"}


def rounds(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.match(r"\[\d+\]\t", line)]


@pytest.mark.parametrize(
    ("hyperparameters", "booster"),
    [
        ({"booster": "gbtree", "max_depth": "2", "eta": "0.5", "subsample": "0.8", "seed": "3"}, "gbtree"),
        ({"booster": "dart", "rate_drop": "0.5", "one_drop": "1", "seed": "3"}, "dart"),
        ({"booster": "gblinear", "updater": "coord_descent", "alpha": "0.1"}, "gblinear"),
    ],
)
def test_a_model_is_the_librarys_own(tmp_path: Path, hyperparameters: dict[str, str], booster: str) -> None:
    trained = prepared(tmp_path, BINARY | hyperparameters, TRAIN).run().model()

    matrix = xgboost.DMatrix(FEATURES, label=LABELS)
    expected = xgboost.train({**BINARY, **hyperparameters, "nthread": 1}, matrix, 3)
    np.testing.assert_array_equal(trained.predict(matrix), expected.predict(matrix))
    assert f'"name":"{booster}"' in trained.save_config()


@pytest.mark.parametrize("objective", ["rank:ndcg", "rank:pairwise", "rank:map"])
def test_a_ranking_learns_from_the_groups_of_libsvm(
    tmp_path: Path, objective: str, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = np.repeat(np.arange(12), 5)
    lines = [
        f"{label:g} qid:{group} " + " ".join(f"{place}:{value:g}" for place, value in enumerate(row))
        for label, group, row in zip(LABELS, groups, FEATURES, strict=True)
    ]
    ranks = {"objective": objective, "eval_metric": "ndcg"}

    job = prepared(tmp_path, ranks, {"train": {"a.libsvm": "\n".join(lines) + "\n"}}, "text/libsvm").run()

    matrix = xgboost.DMatrix(FEATURES, label=LABELS, qid=groups)
    logged: dict[str, Any] = {}
    watched = {"evals": [(matrix, "train")], "evals_result": logged, "verbose_eval": False}
    expected = xgboost.train({**ranks, "nthread": 1}, matrix, 3, **watched)  # type: ignore[arg-type]
    np.testing.assert_allclose(job.model().predict(matrix), expected.predict(matrix), atol=1e-6)
    values = [f"[{place}]\ttrain-ndcg:{value:.5f}" for place, value in enumerate(logged["train"]["ndcg"])]
    assert rounds(capsys.readouterr().out) == values
    alone = xgboost.train({**ranks, "nthread": 1}, xgboost.DMatrix(FEATURES, label=LABELS), 3)
    assert not np.allclose(alone.predict(matrix), expected.predict(matrix))


def test_a_relevance_that_the_library_refuses_fails_the_job(tmp_path: Path) -> None:
    files = {"train": {"a.libsvm": "32 qid:1 0:1\n0 qid:1 0:2\n"}}
    with pytest.raises(AlgorithmError, match="must be lesser than or equal to 31"):
        prepared(tmp_path, {"objective": "rank:ndcg"}, files, "text/libsvm").run()


def test_weights_and_files_of_sub_folders_count(tmp_path: Path) -> None:
    weights = np.arange(1.0, 61.0)
    rows = csv(LABELS, np.column_stack([weights, FEATURES])).splitlines(keepends=True)
    files = {"train": {"part": "".join(rows[:20]), "x/part": "".join(rows[20:40]), "x/y/part": "".join(rows[40:])}}

    trained = prepared(tmp_path, BINARY | {"csv_weights": "1"}, files).run().model()

    matrix = xgboost.DMatrix(FEATURES, label=LABELS, weight=weights)
    expected = xgboost.train({**BINARY, "nthread": 1}, matrix, 3)
    np.testing.assert_allclose(trained.predict(matrix), expected.predict(matrix), rtol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
def test_recordio_trains_as_csv_does(tmp_path: Path, sparse: bool) -> None:
    features: Any = scipy.sparse.csr_matrix(FEATURES) if sparse else FEATURES
    files = {
        "train": {"a": recordio.encode(features[:30], LABELS[:30]), "b": recordio.encode(features[30:], LABELS[30:])}
    }

    trained = prepared(tmp_path / "records", BINARY, files, "application/x-recordio-protobuf").run().model()

    expected = prepared(tmp_path / "csv", BINARY, TRAIN).run().model()
    np.testing.assert_array_equal(trained.inplace_predict(FEATURES), expected.inplace_predict(FEATURES))


def test_early_stopping_keeps_the_best_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stopping = BINARY | {"num_round": "50", "early_stopping_rounds": "3", "eval_metric": "auc,logloss"}
    job = prepared(tmp_path, stopping, BOTH).run()

    lines = rounds(capfd.readouterr().out)
    losses = [float(line.rpartition(":")[2]) for line in lines]
    best = losses.index(min(losses))
    assert len(lines) == best + 4 < 50
    assert job.model().num_boosted_rounds() == best + 1
    assert job.model().attr("best_iteration") == str(best)


def test_early_stopping_watches_the_tuned_metric_first(tmp_path: Path) -> None:
    tuned = {"_tuning_objective_metric": "validation:auc", "eval_metric": "logloss", "early_stopping_rounds": "2"}
    model = prepared(tmp_path, BINARY | tuned | {"num_round": "20"}, BOTH).run().model()

    scores = xgboost.DMatrix(FEATURES, label=LABELS[::-1])
    model.set_param({"eval_metric": "auc"})
    assert float(model.eval(scores).rpartition(":")[2]) == pytest.approx(float(str(model.attr("best_score"))), abs=1e-5)


@pytest.mark.parametrize(
    ("hyperparameters", "files", "message"),
    [
        pytest.param({"early_stopping_rounds": "1"}, BOTH, "early_stopping_rounds without eval_metric", id="no metric"),
        pytest.param(
            {"early_stopping_rounds": "1", "eval_metric": "auc"},
            TRAIN,
            "early_stopping_rounds without a validation channel",
            id="no validation",
        ),
        pytest.param({}, {"train": {"a": csv()}, "validation": {"a": csv()}}, "Suspected identical files", id="twins"),
        pytest.param(
            {}, {"train": {"a/b/c/d/e": csv(), "f": csv()}}, "1 of the channel's 2 files aren't loaded", id="depth"
        ),
        pytest.param({}, {"train": {"a": "label,x\n" + csv(features=FEATURES[:, :1])}}, "like a header", id="header"),
    ],
)
def test_traps_cause_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, hyperparameters: dict[str, str], files: Files, message: str
) -> None:
    job = prepared(tmp_path, BINARY | hyperparameters, files)
    assert job.run().model().num_boosted_rounds() == 3
    assert message in caplog.text


@pytest.mark.parametrize(
    ("hyperparameters", "files", "kind", "message"),
    [
        pytest.param({}, {"train": {"a": ""}}, UserError, "No data in training channel path", id="empty train"),
        pytest.param(
            {},
            TRAIN | {"validation": {"a": ""}},
            UserError,
            "No data in validation channel path",
            id="empty validation",
        ),
        pytest.param(
            {}, TRAIN | {"validation": {".a": "1"}}, UserError, "Hidden file found in the data path!", id="hidden"
        ),
        pytest.param({}, {"train": {"a": "\n1,2\n"}}, UserError, "Could not determine delimiter on line", id="line"),
        pytest.param(
            {"num_round": "0"}, {"train": {".a": ""}}, UserError, "num_round: 0 is not in", id="hyperparameters first"
        ),
        pytest.param(
            {},
            {"train": {"a": csv(np.where(LABELS, np.nan, 0))}},
            AlgorithmError,
            "XGB train call failed with exception:\n ",
            id="nan labels",
        ),
        pytest.param(
            BINARY,
            {"train": {"a": csv(LABELS + 1)}},
            AlgorithmError,
            "base_score must be in (0,1)",
            id="labels of 1, 2",
        ),
        pytest.param(
            {"objective": "multi:softmax", "num_class": "3", "eval_metric": "f1_binary"},
            {"train": {"a": csv(np.arange(60) % 3)}},
            UserError,
            "Target is multiclass but average='binary'",
            id="f1_binary of three classes",
        ),
        pytest.param(
            {"objective": "multi:softprob", "num_class": "3", "eval_metric": "mae"},
            {"train": {"a": csv(np.arange(60) % 3)}},
            AlgorithmError,
            "y_true and y_pred have different number of output (1!=3)",
            id="mae of classes",
        ),
        pytest.param(
            {"objective": "reg:squarederror", "eval_metric": "accuracy"},
            {"train": {"a": csv(FEATURES[:, 0])}},
            AlgorithmError,
            "Classification metrics can't handle a mix",
            id="accuracy of a regression",
        ),
        pytest.param({"_kfold": "3"}, TRAIN, AlgorithmError, "'NoneType' object has no", id="k-fold without objective"),
        pytest.param(
            BINARY | {"_kfold": "61"}, TRAIN, AlgorithmError, "n_splits=61 greater than the number", id="few rows"
        ),
        pytest.param(
            BINARY | {"_kfold": "50"}, TRAIN, AlgorithmError, "n_splits=50 cannot be greater", id="few of a class"
        ),
        pytest.param(
            {"use_dask_gpu_training": "true"}, TRAIN, UserError, "Dask training is only available", id="no GPU"
        ),
    ],
)
def test_a_failure_is_a_user_error_or_an_algorithm_error(
    tmp_path: Path, hyperparameters: dict[str, str], files: Files, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as failed:
        prepared(tmp_path, hyperparameters, files).run()
    assert message in str(failed.value)
    assert "Stack trace" not in str(failed.value)


def test_folds_leave_one_model_each_and_predictions(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = prepared(tmp_path, BINARY | {"_kfold": "2", "_num_cv_round": "2", "eval_metric": "error"}, BOTH).run()

    assert sorted(path.name for path in job.layout.model.iterdir()) == [f"xgboost-model-{fold}" for fold in range(4)]
    assert np.loadtxt(job.layout.output_data / "predictions.csv", delimiter=",").shape == (120, 3)
    numbers = [line.partition("]")[0][1:] for line in rounds(capfd.readouterr().out)]
    # Each model's rounds; then the means of both repeats and of all, with the number of rounds.
    assert numbers == ["0", "1", "2"] * 4 + ["3", "3", "3"]


def test_checkpoints_are_kept_and_training_continues_from_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = prepared(tmp_path / "whole", BINARY | {"num_round": "12"}, TRAIN).run().model()
    first = prepared(tmp_path / "first", BINARY | {"num_round": "7"}, TRAIN, has_checkpoints=True).run()
    kept = sorted(path.name for path in first.layout.checkpoints.iterdir())
    assert kept == [f"xgboost-checkpoint.{number}" for number in range(2, 7)]
    capfd.readouterr()

    second = prepared(tmp_path / "second", BINARY | {"num_round": "12"}, TRAIN, has_checkpoints=True)
    for name in kept:
        (first.layout.checkpoints / name).rename(second.layout.checkpoints / name)
    (second.layout.checkpoints / "xgboost-checkpoint.7").write_bytes(b"damaged")
    resumed = second.run().model()

    assert [line.partition("]")[0] for line in rounds(capfd.readouterr().out)] == [f"[{each}" for each in range(7, 12)]
    assert resumed.num_boosted_rounds() == 12
    matrix = xgboost.DMatrix(FEATURES)
    np.testing.assert_allclose(resumed.predict(matrix), whole.predict(matrix), rtol=1e-5)
    assert not list(second.layout.checkpoints.glob("*.sagemaker-ignore"))


def test_a_checkpoint_under_upload_is_not_removed(tmp_path: Path) -> None:
    job = prepared(tmp_path, BINARY | {"num_round": "8"}, TRAIN, has_checkpoints=True)
    for name in ("0.sagemaker-uploading", "1.sagemaker-uploading", "1.sagemaker-uploaded"):
        (job.layout.checkpoints / f"xgboost-checkpoint.{name}").touch()
    job.run()
    kept = {path.name for path in job.layout.checkpoints.iterdir() if path.suffix[1:].isdecimal()}
    assert kept == {f"xgboost-checkpoint.{number}" for number in (0, 3, 4, 5, 6, 7)}


def test_a_job_without_checkpoint_config_writes_none(tmp_path: Path) -> None:
    assert not prepared(tmp_path, BINARY, TRAIN).run().layout.checkpoints.exists()


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False])
def test_sigterm_leaves_a_model_only_if_requested(tmp_path: Path, keep: bool) -> None:
    endless = {"num_round": "1000000", "save_model_on_termination": str(keep).lower()}
    job = prepared(tmp_path, BINARY | endless, TRAIN)
    with started(job) as (process, lines):
        wait_for(lambda: any(line.startswith("[3]\t") for line in lines), what="the fourth round")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == (0 if keep else -signal.SIGTERM)
    assert [path.name for path in job.layout.model.iterdir()] == (["xgboost-model"] if keep else [])
    if keep:
        assert job.model().num_boosted_rounds() >= 3


@contextlib.contextmanager
def started(job: Job) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the job in a separate process; yield it and the lines that it has printed so far."""
    process = subprocess.Popen(
        [sys.executable, "-m", training.__name__, str(job.layout.root), "1000000000", str(8 * 1024**3)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=job.layout.root,
        env={"PYTHONPATH": str(Path(localcloud.__file__).parents[1])},
    )
    lines: list[str] = []

    def read() -> None:
        for line in process.stdout or ():
            lines.append(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        reader.join(10)


def test_sigterm_in_the_middle_of_a_write_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python refuses to flush output that the signal has interrupted."""
    before, flushed = signal.getsignal(signal.SIGTERM), list[bool]()

    def refuse() -> None:
        flushed.append(True)
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stdout>'>")

    monkeypatch.setattr(sys.stdout, "flush", refuse)
    monkeypatch.setattr(os, "_exit", sys.exit)
    try:
        boosting._KeepPartialModel(tmp_path / "xgboost-model")
        with pytest.raises(SystemExit) as ended:
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (ended.value.code, flushed) == (0, [True])
