"""The part of a pipeline's template for training and serving: SageMaker's role, and the workers' rights."""

from __future__ import annotations

from troposphere import GetAtt

from sluice.aws.template import Export, Fragment, Statement
from sluice.declaration.pipeline import Pipeline
from sluice.provisioning.role import ROLE, role
from sluice.provisioning.serving import canary_alarms, serving_rights
from sluice.provisioning.training import training_rights


def models_template(pipeline: Pipeline) -> Fragment:
    """Return the role and the workers' rights; an empty fragment for a pipeline without a training."""
    if pipeline.training is None:
        return Fragment()
    return Fragment(
        resources=(role(pipeline), *canary_alarms(pipeline)),
        exports=(
            Export("Role", "role", GetAtt(ROLE, "Arn"), "ARN of the role that SageMaker trains and serves with."),
        ),
        statements=models_rights(pipeline),
    )


def models_rights(pipeline: Pipeline) -> tuple[Statement, ...]:
    """Return the rights to train, judge and serve, of a pipeline that declares a training."""
    served = serving_rights(pipeline, pipeline.deployment) if pipeline.deployment else ()
    return (*training_rights(pipeline), *served)
