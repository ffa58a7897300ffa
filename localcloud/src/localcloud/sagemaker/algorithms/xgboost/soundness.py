"""Whether a model is safe to use, as the library doesn't check the files that it reads.

It loads a tree whose children form a circle, or an index beyond its array, without an error. Then it reads other
memory, or never ends, at the first row that gets there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

Indices = npt.NDArray[np.int64]

_OF_NODES = ("left_children", "right_children", "split_indices", "split_conditions", "default_left")


class UnsoundModelError(ValueError):
    """The model isn't safe to use; the message says why."""


def check(booster: xgboost.Booster) -> None:
    """Refuse a model that isn't safe to use.

    This walks every tree of a model that may be damaged, so do it in a process that may crash.

    Raises:
        UnsoundModelError: A tree isn't a tree, or something is out of its range.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    features, groups = booster.num_features(), _groups(learner["learner_model_param"])
    gradient_booster = learner["gradient_booster"]
    if gradient_booster["name"] == "gblinear":
        if len(gradient_booster["model"]["weights"]) != (features + 1) * groups:
            raise UnsoundModelError(f"the weights aren't those of {features} features and {groups} outputs")
        return
    model = gradient_booster.get("gbtree", gradient_booster)["model"]
    trees, outputs = model["trees"], np.asarray(model["tree_info"], np.int64)
    if len(outputs) != len(trees) or ((outputs < 0) | (outputs >= groups)).any():
        raise UnsoundModelError(f"tree_info doesn't give each tree one of {groups} outputs")
    if len(gradient_booster.get("weight_drop", trees)) != len(trees):
        raise UnsoundModelError("weight_drop doesn't give each tree a weight")
    rounds = np.asarray(model["iteration_indptr"], np.int64)
    if not len(rounds) or rounds[0] != 0 or rounds[-1] != len(trees) or (np.diff(rounds) < 0).any():
        raise UnsoundModelError("iteration_indptr doesn't part the trees into rounds")
    for number, tree in enumerate(trees):
        try:
            _check_tree(tree, features)
        except UnsoundModelError as error:
            raise UnsoundModelError(f"tree {number}: {error}") from error


def _groups(parameters: Mapping[str, str]) -> int:
    return max(1, int(parameters["num_class"]), int(parameters.get("num_target", 1)))


def _check_tree(tree: Mapping[str, Any], features: int) -> None:
    """Require that each node is reached once at most, and splits by a feature of the model."""
    count = int(tree["tree_param"]["num_nodes"])
    if count < 1 or any(len(tree[member]) != count for member in _OF_NODES):
        raise UnsoundModelError(f"it doesn't describe its {count} nodes")
    left, right, splits = (np.asarray(tree[member], np.int64) for member in _OF_NODES[:3])
    reached, level = 0, np.zeros(1, np.int64)
    while level.size:
        reached += level.size
        if reached > count:
            raise UnsoundModelError("its nodes go round in a circle")
        inner = level[left[level] != -1]
        if ((splits[inner] < 0) | (splits[inner] >= features)).any():
            raise UnsoundModelError(f"it splits by a feature that isn't among the model's {features}")
        level = np.concatenate([left[inner], right[inner]])
        if ((level < 1) | (level >= count)).any():
            raise UnsoundModelError(f"it has children beyond its {count} nodes")
    _check_categories(tree, count)


def _check_categories(tree: Mapping[str, Any], count: int) -> None:
    """Require that the categories of each node are a segment of the array that has them all."""
    nodes, starts, sizes = (
        np.asarray(tree[f"categories_{member}"], np.int64) for member in ("nodes", "segments", "sizes")
    )
    categories = np.asarray(tree["categories"], np.int64)
    fits = (
        len(nodes) == len(starts) == len(sizes)
        and ((nodes >= 0) & (nodes < count)).all()
        and ((starts >= 0) & (sizes >= 0) & (starts + sizes <= len(categories))).all()
    )
    if not fits:
        raise UnsoundModelError("its categories aren't within their array")
