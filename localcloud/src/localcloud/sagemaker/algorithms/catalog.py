"""Finds the algorithm of an image by the repository's name, for any account, region and tag."""

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

    Attributes:
        repository: The repository of its image.
        training_module: The module that is run in a process of its own to train.
        metrics: The service's definitions of its metrics.
        objectives: The names of the metrics that it can be tuned for.
        tunable: The hyperparameters that a tuning job may search.
        load: Loads a model; takes the folder of the unpacked archive and the container's variables.
        normalize: Rewrites the model's files, which may be damaged, so that they are safe to load. Takes the same as
            `load`; is run before it, in a process of its own.
    """

    repository: str
    training_module: str
    metrics: tuple[MetricDefinition, ...]
    objectives: tuple[str, ...]
    tunable: tuple[str, ...]
    load: Callable[[Path, Mapping[str, str]], ModelServer]
    normalize: Callable[[Path, Mapping[str, str]], None]


def _load_xgboost(folder: Path, environment: Mapping[str, str]) -> ModelServer:
    # xgboost takes a second to import, which a stand-in that only lists jobs doesn't need.
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
    """Do nothing, as `LinearModel.load` checks the whole file each time."""


_ALGORITHMS = (
    Algorithm(
        repository="sagemaker-xgboost",
        training_module="localcloud.sagemaker.algorithms.xgboost.training",
        metrics=xgboost_definitions.METRICS,
        objectives=xgboost_definitions.OBJECTIVES,
        tunable=xgboost_definitions.TUNABLE,
        load=_load_xgboost,
        normalize=_normalize_xgboost,
    ),
    Algorithm(
        repository="linear-learner",
        training_module="localcloud.sagemaker.algorithms.linear_learner.training",
        metrics=linear_learner_definitions.METRICS,
        objectives=linear_learner_definitions.OBJECTIVES,
        tunable=linear_learner_definitions.TUNABLE,
        load=_load_linear_learner,
        normalize=_keep,
    ),
)

# The accounts of AWS's registries of XGBoost and Linear Learner in all regions, by the SageMaker Python SDK 3.27
# (sagemaker.core.image_uris). For the service too, a copy of an image in another account isn't a built-in algorithm.
_AWS_ACCOUNTS = """
    104374241257 106583098589 108575199400 121021644041 124985052026 141502667606 174872318107 190319476487
    226302683700 237065988967 246618743249 249704162688 257386234256 257758044811 272398656194 281123927165
    286214385809 306986355934 341280168497 351501993468 354813040037 366743142698 382416733822 387376663083
    390948362332 404615174143 414596584902 433757028032 438346466558 450853457545 451049120500 455444449433
    469771592824 475088953585 490574956308 492215442770 501404015308 510948584623 544295431143 628508329040
    632365934929 644912444149 651117190479 659782779980 662702820516 664544806723 669576153137 680994064768
    683313688378 685385470294 712309505854 720646828776 737474898029 746614075791 749696950732 764974769150
    765400339828 783357654285 801668240914 811284229777 813361260812 825641698319 833128469047 835164637446
    855470959533 867004704886 898809789911 951798379941 978288397137 991648021394
"""


def repositories() -> tuple[str, ...]:
    """Return the repositories of all algorithms."""
    return tuple(each.repository for each in _ALGORITHMS)


def by_image(image: str) -> Algorithm | None:
    """Return the algorithm of an image such as ``….dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0``."""
    repository = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return next((each for each in _ALGORITHMS if each.repository == repository), None)


def is_aws(image: str) -> bool:
    """Return whether an image is in one of AWS's own accounts."""
    return image.partition(".")[0] in _AWS_ACCOUNTS.split()
