"""The same snapshot, declaration and role give the same tuning request, name and seed (P4, P7)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import botocore.session
import botocore.validate
import pytest
from tests.clients import offline
from tests.sluice.provisioning.shapes import KEY
from tests.sluice.toy import TOY
from tests.sluice.training.test_request import SNAPSHOT

from sluice.declaration import Categorical, Continuous, Integer, Network, Pipeline, Tuning, XGBoost
from sluice.training.names import tuning_name_stem
from sluice.training.request import training_request
from sluice.training.tuning_request import tuning_request

TUNING = Tuning(
    {
        "eta": Continuous(0.01, 0.3, "log"),
        "max_depth": Integer(3, 9),
        "subsample": Continuous(0.5, 0.9, "reverse_log"),
        "booster": Categorical(("gbtree", "dart")),
    },
    jobs=20,
    parallel=4,
)
CANDIDATE = XGBoost({"objective": "binary:logistic", "num_round": 5}, tuning=TUNING)
TUNED = replace(TOY, training=replace(TOY.training, candidates=(CANDIDATE,)))


def request(pipeline: Pipeline = TUNED, **of_tuning: Any) -> dict[str, Any]:
    (candidate,) = pipeline.training.candidates
    tuning = replace(candidate.tuning, **of_tuning)
    candidate = replace(candidate, tuning=tuning)
    pipeline = replace(pipeline, training=replace(pipeline.training, candidates=(candidate,)))
    return tuning_request(offline(pipeline), candidate, tuning, SNAPSHOT)


def test_service_model_accepts_the_request() -> None:
    operation = (
        botocore.session.get_session().get_service_model("sagemaker").operation_model("CreateHyperParameterTuningJob")
    )

    report = botocore.validate.ParamValidator().validate(request(), operation.input_shape)

    assert not report.has_errors(), report.generate_report()


def test_search_is_that_of_the_declaration() -> None:
    config = request()["HyperParameterTuningJobConfig"]

    assert config.pop("RandomSeed") in range(2**31)
    assert config == {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validation:auc"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 20, "MaxParallelTrainingJobs": 4},
        "ParameterRanges": {
            "ContinuousParameterRanges": [
                {"Name": "eta", "MinValue": "0.01", "MaxValue": "0.3", "ScalingType": "Logarithmic"},
                {"Name": "subsample", "MinValue": "0.5", "MaxValue": "0.9", "ScalingType": "ReverseLogarithmic"},
            ],
            "IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "3", "MaxValue": "9", "ScalingType": "Auto"}],
            "CategoricalParameterRanges": [{"Name": "booster", "Values": ["gbtree", "dart"]}],
        },
    }


def test_training_jobs_are_those_of_the_candidate_without_a_tuning() -> None:
    guarded = replace(
        TUNED, kms_key=KEY, network=Network(("subnet-0a1b2c3d",), ("sg-0a1b2c3d",)), tags={"team": "freight"}
    )
    tuned = request(guarded)
    alone = training_request(offline(guarded), replace(guarded.training.candidates[0], tuning=None), SNAPSHOT)

    definition = tuned["TrainingJobDefinition"]
    assert definition.pop("StaticHyperParameters") == alone.pop("HyperParameters")
    assert tuned["Tags"] == alone.pop("Tags")
    alone.pop("TrainingJobName")
    assert definition == alone
    assert definition["VpcConfig"]["Subnets"] == ["subnet-0a1b2c3d"]
    assert definition["ResourceConfig"]["VolumeKmsKeyId"] == definition["OutputDataConfig"]["KmsKeyId"] == KEY
    assert definition["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}


def test_name_ends_in_a_fingerprint() -> None:
    name = request()["HyperParameterTuningJobName"]

    assert re.fullmatch(re.escape(tuning_name_stem(TUNED, CANDIDATE)) + r"[0-9a-f]{12}", name)
    assert request()["HyperParameterTuningJobName"] == name
    assert request(replace(TUNED, tags={"team": "freight"}))["HyperParameterTuningJobName"] == name


@pytest.mark.parametrize(
    "changed",
    [
        lambda: request(jobs=21),
        lambda: request(parallel=2),
        lambda: request(strategy="random"),
        lambda: request(objective="validation:logloss"),
        lambda: request(ranges={**TUNING.ranges, "eta": Continuous(0.01, 0.31, "log")}),
        lambda: request(ranges={**TUNING.ranges, "eta": Continuous(0.01, 0.3)}),
        lambda: request(replace(TUNED, training=replace(TUNED.training, max_runtime=timedelta(hours=2)))),
        lambda: request(
            replace(
                TUNED,
                training=replace(
                    TUNED.training,
                    candidates=(replace(CANDIDATE, hyperparameters={"objective": "binary:logistic", "num_round": 6}),),
                ),
            )
        ),
    ],
)
def test_another_request_has_another_name_and_another_seed(changed: Callable[[], dict[str, Any]]) -> None:
    one, other = request(), changed()

    assert one["HyperParameterTuningJobName"] != other["HyperParameterTuningJobName"]
    seeds = [each["HyperParameterTuningJobConfig"]["RandomSeed"] for each in (one, other)]
    assert seeds[0] != seeds[1]


def test_order_of_the_ranges_does_not_matter() -> None:
    backwards = dict(reversed(list(TUNING.ranges.items())))

    assert request(ranges=backwards) == request()
