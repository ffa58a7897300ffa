"""Finds the algorithm of an image: by the repository's name, whatever the account, region and tag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.sagemaker.algorithms.linear_learner import definitions as linear_learner_definitions
from localcloud.sagemaker.algorithms.serving import ModelServer
from localcloud.sagemaker.algorithms.xgboost import definitions as xgboost_definitions
from localcloud.sagemaker.jobs.metrics import MetricDefinition


@dataclass(frozen=True)
class Algorithm:
    """A built-in algorithm.

    ``training_module`` is run in a process of its own; ``load`` takes the unpacked model's folder and the
    model's environment. ``normalize``, called before with the same, rewrites files that may be damaged so that they are
    safe to load; it is run in a process of its own.
    """

    repository: str
    training_module: str
    metrics: tuple[MetricDefinition, ...]
    load: Callable[[Path, Mapping[str, str]], ModelServer]
    normalize: Callable[[Path, Mapping[str, str]], None]


def _load_xgboost(folder: Path, environment: Mapping[str, str]) -> ModelServer:
    # xgboost takes a second to import; a stand-in that only lists jobs needn't wait for it.
    from localcloud.sagemaker.algorithms.xgboost.serving import load

    return load(folder, environment)


def _normalize_xgboost(folder: Path, environment: Mapping[str, str]) -> None:
    from localcloud.sagemaker.algorithms.xgboost.serving import normalize

    normalize(folder, environment)


def _load_linear_learner(folder: Path, environment: Mapping[str, str]) -> ModelServer:
    # As above: numpy and scipy aren't needed to list jobs.
    from localcloud.sagemaker.algorithms.linear_learner.serving import load

    return load(folder, environment)


def _keep(_folder: Path, _environment: Mapping[str, str]) -> None:
    """Linear Learner's own format is checked in full whenever it is loaded."""


_ALGORITHMS = (
    Algorithm(
        repository="sagemaker-xgboost",
        training_module="localcloud.sagemaker.algorithms.xgboost.training",
        metrics=xgboost_definitions.METRICS,
        load=_load_xgboost,
        normalize=_normalize_xgboost,
    ),
    Algorithm(
        repository="linear-learner",
        training_module="localcloud.sagemaker.algorithms.linear_learner.training",
        metrics=linear_learner_definitions.METRICS,
        load=_load_linear_learner,
        normalize=_keep,
    ),
)


def repositories() -> tuple[str, ...]:
    """The names of the repositories that are known."""
    return tuple(each.repository for each in _ALGORITHMS)


def by_image(image: str) -> Algorithm | None:
    """The algorithm of an image URI, such as ``….dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0``."""
    repository = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return next((each for each in _ALGORITHMS if each.repository == repository), None)
