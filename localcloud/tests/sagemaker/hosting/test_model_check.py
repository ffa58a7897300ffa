"""Models that would crash the stand-in's process are found in a separate process."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from localcloud.sagemaker.hosting import model_check
from localcloud.sagemaker.hosting.model_check import ModelCheckError, check
from localcloud.testing.training import IMAGE


def trained() -> xgboost.Booster:
    generator = np.random.default_rng(7)
    rows = generator.random((50, 3))
    return xgboost.train({"max_depth": 3}, xgboost.DMatrix(rows, label=rows.sum(axis=1)), 2)


def put(folder: Path, content: bytes) -> Path:
    (folder / "xgboost-model").write_bytes(content)
    return folder


@pytest.mark.parametrize("raw_format", ["ubj", "json"])
def test_a_sound_model_passes_and_stays_the_same(tmp_path: Path, raw_format: str) -> None:
    check(IMAGE, put(tmp_path, trained().save_raw(raw_format)), {})
    [file] = tmp_path.iterdir()
    assert file.read_bytes() == trained().save_raw("ubj")


@pytest.mark.slow
def test_an_empty_model_ends_its_own_process_only(tmp_path: Path) -> None:
    with pytest.raises(ModelCheckError, match=r"^its process ended with signal SIGABRT$"):
        check(IMAGE, put(tmp_path, b""), {})


def test_a_tree_with_a_cycle_is_refused(tmp_path: Path) -> None:
    model = json.loads(trained().save_raw("json"))
    model["learner"]["gradient_booster"]["model"]["trees"][0]["right_children"][0] = 0
    with pytest.raises(ModelCheckError, match=r"^tree 0: "):
        check(IMAGE, put(tmp_path, json.dumps(model).encode()), {})


@pytest.mark.slow
def test_the_models_environment_and_messages_are_used(tmp_path: Path) -> None:
    with pytest.raises(ModelCheckError, match=r"invalid literal for int.*'many'"):
        check(IMAGE, put(tmp_path, trained().save_raw("ubj")), {"MAX_CONTENT_LENGTH": "many"})
    with pytest.raises(ModelCheckError, match=r"^Model xgboost-model cannot be loaded:"):
        check(IMAGE, put(tmp_path, b"no model"), {})


def test_a_model_that_takes_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_check, "_SECONDS", 0.05)
    started = time.monotonic()
    with pytest.raises(ModelCheckError, match=r"^it gave no answer in 0\.05 seconds$"):
        check(IMAGE, put(tmp_path, trained().save_raw("ubj")), {})
    assert time.monotonic() - started < 10


@pytest.mark.slow
def test_random_damage_does_no_harm(tmp_path: Path) -> None:
    """A model that passes the check predicts without a crash, which would end this process."""
    sound, generator, outcomes = bytes(trained().save_raw("ubj")), random.Random(5), list[Any]()
    for _ in range(12):
        content = bytearray(sound)
        for _ in range(generator.choice((1, 2, 4))):
            content[generator.randrange(len(content))] = generator.randrange(256)
        try:
            check(IMAGE, put(tmp_path, bytes(content)), {})
        except ModelCheckError as error:
            outcomes.append(str(error))
        else:
            booster = xgboost.Booster()
            booster.load_model(bytearray((tmp_path / "xgboost-model").read_bytes()))
            rows = np.random.default_rng(1).random((100, booster.num_features()))
            outcomes.append(len(booster.inplace_predict(rows, validate_features=False)))
    assert 100 in outcomes, "some damage does no harm"
    # Whether a read beyond an array crashes depends on what is there, so no outcome is bound to a seed.
    assert any(isinstance(outcome, str) for outcome in outcomes), "some damage is refused"
