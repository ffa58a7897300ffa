"""Whether a model can be asked without harm: the library trusts the files that it reads.

A tree whose children go round in a circle, or an index beyond its array, is loaded without a word. The library then
reads on in foreign memory, or forever, for whichever row gets there first.
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
    """The model must not be asked; the message says what is wrong with it."""


def check(booster: xgboost.Booster) -> None:
    """Refuse a model that no row should be put to.

    This walks every tree of a model that may be damaged: do it where a crash does no harm.

    Raises:
        UnsoundModelError: a tree is no tree, or something is out of its range.
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
    """Each node that is reached from the root is reached once, and splits by a feature that there is."""
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
    """Nodes that split by categories have theirs in one array, each a segment."""
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
        raise UnsoundModelError("its categories aren't where it says")
