"""Models that load but aren't safe to use."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xgboost

from localcloud.sagemaker.algorithms.xgboost import soundness
from localcloud.sagemaker.algorithms.xgboost.soundness import UnsoundModelError

Damage = Callable[[Any], None]


def booster(**parameters: Any) -> xgboost.Booster:
    generator = np.random.default_rng(3)
    rows = generator.random((80, 4))
    rows[:, 0] = generator.integers(0, 6, 80)
    matrix = xgboost.DMatrix(
        rows, label=generator.integers(0, 3, 80), feature_types=["c", "q", "q", "q"], enable_categorical=True
    )
    objective = {"objective": "multi:softprob", "num_class": 3, "max_depth": 4}
    return xgboost.train(objective | parameters, matrix, 3)


def reloaded(model: Any) -> xgboost.Booster:
    read = xgboost.Booster()
    read.load_model(bytearray(json.dumps(model).encode()))
    return read


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"booster": "dart", "rate_drop": 0.5},
        {"num_parallel_tree": 2, "subsample": 0.5},
        {"tree_method": "exact", "gamma": 0.3},
        {"multi_strategy": "multi_output_tree", "tree_method": "hist"},
        {"max_depth": 0, "max_leaves": 9, "grow_policy": "lossguide"},
    ],
    ids=["gbtree", "dart", "forest", "pruned", "vector leaves", "leaf-wise"],
)
def test_a_model_that_the_library_trains_is_sound(parameters: dict[str, Any]) -> None:
    if parameters.get("tree_method") == "exact" or "multi_strategy" in parameters:
        rows = np.random.default_rng(3).random((80, 4))
        labels = np.arange(80) % 3
        objective = {"objective": "multi:softprob", "num_class": 3}
        soundness.check(xgboost.train(objective | parameters, xgboost.DMatrix(rows, label=labels), 3))
    else:
        soundness.check(booster(**parameters))


def test_linear_models_and_several_targets_are_sound() -> None:
    rows = np.random.default_rng(3).random((80, 4))
    soundness.check(xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(rows, label=rows[:, 0]), 3))
    soundness.check(xgboost.train({}, xgboost.DMatrix(rows, label=rows[:, :2]), 3))


def categorical(tree: Any) -> None:
    tree["categories_sizes"][0] = 10_000


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tree: tree["right_children"].__setitem__(0, 0), "children beyond"),
        (lambda tree: tree["right_children"].__setitem__(2, 1), "round in a circle"),
        (lambda tree: tree["left_children"].__setitem__(0, 1000), "children beyond"),
        (lambda tree: tree["right_children"].__setitem__(0, -1), "children beyond"),
        (lambda tree: tree["split_indices"].__setitem__(0, 50), "isn't among the model's 4"),
    ],
    ids=["root as child", "cycle", "beyond", "half a leaf", "feature"],
)
def test_a_damaged_tree_is_refused(damage: Damage, message: str) -> None:
    rows = np.random.default_rng(3).random((80, 4))
    model = json.loads(xgboost.train({}, xgboost.DMatrix(rows, label=rows.sum(axis=1)), 3).save_raw("json"))
    tree = model["learner"]["gradient_booster"]["model"]["trees"][1]
    tree["left_children"][1], tree["right_children"][1] = 3, 4
    damage(tree)
    with pytest.raises(UnsoundModelError, match=f"^tree 1: .*{message}"):
        soundness.check(reloaded(model))


def test_a_tree_of_no_output_is_refused() -> None:
    model = json.loads(booster().save_raw("json"))
    model["learner"]["gradient_booster"]["model"]["tree_info"][0] = 7
    with pytest.raises(UnsoundModelError, match="tree_info"):
        soundness.check(reloaded(model))
