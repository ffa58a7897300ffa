"""The names of jobs are a pipeline's own, and short enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.sluice.toy import TOY

from sluice.declaration import Continuous, Pipeline, Tuning, XGBoost
from sluice.errors import DeclarationError
from sluice.training.kinds import TRAINING, TUNING, kind_of
from sluice.training.names import candidate_of, is_job_of, is_tuning_of, listed_by, name_stems, tuning_name_stem

PLAIN = TOY.training.candidates[0]
TUNED = XGBoost(
    {"objective": "binary:logistic", "num_round": 5}, name="tuned", tuning=Tuning({"eta": Continuous(0.1, 0.5)})
)


def pipeline(name: str = "toy", *candidates: Any) -> Pipeline:
    return replace(TOY, name=name, training=replace(TOY.training, candidates=candidates or (PLAIN, TUNED)))


def test_tuning_job_of_the_longest_names_has_a_name_that_sagemaker_takes() -> None:
    longest = pipeline("a_" + "b" * 22, replace(TUNED, name="c" * 19))
    (candidate,) = longest.training.candidates

    name = tuning_name_stem(longest, candidate) + "0" * 12 + "-5"

    assert len(name) <= 32
    assert is_tuning_of(longest, name)
    assert len(f"{name}-100-0123abcd") <= 63


def test_jobs_of_a_tuning_are_those_of_its_candidate() -> None:
    stem = tuning_name_stem(pipeline(), TUNED)
    tuning, second = f"{stem}{'a' * 12}", f"{stem}{'a' * 12}-2"
    trained = [f"{tuning}-001-0123abcd", f"{second}-010-0123abcd"]

    assert stem.startswith("toy-")
    for name in (tuning, second):
        assert (is_tuning_of(pipeline(), name), is_job_of(pipeline(), name)) == (True, False)
        assert kind_of(pipeline(), name) is TUNING
    for name in trained:
        assert (is_tuning_of(pipeline(), name), is_job_of(pipeline(), name)) == (False, True)
        assert kind_of(pipeline(), name) is TRAINING
    assert {candidate_of(pipeline(), name).name for name in (tuning, second, *trained)} == {"tuned"}
    assert kind_of(pipeline(), f"toy-xgboost-{'a' * 16}") is TRAINING


@pytest.mark.parametrize(
    "other", [pipeline("my_toy"), pipeline("toy", PLAIN), pipeline("toy", replace(TUNED, name="x"))]
)
def test_jobs_of_a_tuning_are_not_those_of_others(other: Pipeline) -> None:
    name = f"{tuning_name_stem(pipeline(), TUNED)}{'a' * 12}"

    assert not is_tuning_of(other, name)
    assert not is_job_of(other, f"{name}-001-0123abcd")
    with pytest.raises(
        DeclarationError, match=f"pipeline {other.name} declares no candidate whose job is {name}; clear"
    ):
        candidate_of(other, name)


@pytest.mark.parametrize("name", ["toy", "a_pipeline_with_a_name"])
def test_what_all_names_begin_with_finds_all_jobs(name: str) -> None:
    stems = name_stems(pipeline(name))

    assert len(set(stems)) == 3  # two of training jobs, one of tuning jobs
    assert all(stem.startswith(listed_by(pipeline(name))) for stem in stems)
    assert listed_by(pipeline(name, PLAIN)) == f"{name}-".replace("_", "-")
