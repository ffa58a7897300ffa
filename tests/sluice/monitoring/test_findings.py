"""What was measured against the bounds."""

from __future__ import annotations

from dataclasses import replace

from tests.sluice.toy import TOY

from sluice.declaration import Count, Deployment, Gate, Monitoring, XGBoost
from sluice.evaluation.verdict import Figure
from sluice.monitoring.findings import on_quality
from sluice.monitoring.quality import Quality


def test_metric_that_only_some_draws_have_is_no_finding() -> None:
    """GIVEN one answer of 0 for a count, whose deviance is not defined: draws without that row have one."""
    training = replace(
        TOY.require_training(),
        problem=Count(),
        candidates=(XGBoost({"objective": "count:poisson", "num_round": 1}),),
        gate=Gate("poisson_deviance", at_most=1.0),
    )
    pipeline = replace(TOY, training=training, deployment=Deployment("e", monitoring=Monitoring()))
    beyond = Quality(rows=60, judged=60, metrics={"poisson_deviance": Figure(value=3.0, low=2.0, high=4.0)})
    undefined = Quality(rows=60, judged=60, metrics={"poisson_deviance": Figure(value=None, low=2.0, high=4.0)})

    assert [each.about for each in on_quality(pipeline, beyond)] == ["metric"]
    assert list(on_quality(pipeline, undefined)) == []
