"""The part of a pipeline's template for steps on Lambda and Fargate: roles, logs, the cluster, and rights."""

from __future__ import annotations

import re
from collections.abc import Sequence

from troposphere import Tags, ecs, iam, logs

from sluice.aws.template import Fragment, Statement, arn, logical_id
from sluice.compute.artefacts import Artefacts
from sluice.compute.contract import implementation_of
from sluice.compute.joining import joining_rights
from sluice.compute.names import EXECUTION_ROLE, STEP_ROLE, cluster_name, log_group
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step
from sluice.provisioning.lake import lake_rights
from sluice.provisioning.policies import policy_document

_LOG_DAYS = 30
_TASKS = "ecs-tasks.amazonaws.com"
_ECR_IMAGE = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z.]+/(?P<repository>[^:@]+)")


def steps_template(pipeline: Pipeline, artefacts: Artefacts) -> tuple[Fragment, ...]:
    """Return what steps on Lambda and Fargate need; nothing for a pipeline whose steps run in the worker.

    Args:
        pipeline: The pipeline.
        artefacts: What steps are made of.

    Raises:
        DeclarationError: what a step needs is not known.
    """
    parts = [
        (step, implementation_of(step.runtime).template(pipeline, step, step.runtime, artefacts))
        for step in pipeline.steps
    ]
    elsewhere = [step for step, fragments in parts if fragments]
    if not elsewhere:
        return ()
    return _shared(pipeline, elsewhere, artefacts.image or ""), *(each for _, fragments in parts for each in fragments)


def _shared(pipeline: Pipeline, steps: Sequence[Conform | Step], image: str) -> Fragment:
    groups = tuple(
        logs.LogGroup(logical_id(step.name, "Logs"), LogGroupName=log_group(pipeline, step), RetentionInDays=_LOG_DAYS)
        for step in steps
    )
    streams = tuple(arn("logs", f"log-group:{log_group(pipeline, step)}:log-stream:*") for step in steps)
    write = Statement("WriteLogs", ("logs:CreateLogStream", "logs:PutLogEvents"), streams)
    tasks = _on_fargate(pipeline, write, image) if any(step.runtime.needs_network for step in steps) else Fragment()
    return Fragment(
        resources=(*groups, _step_role(pipeline, write), *tasks.resources),
        statements=(Statement("ReadTheLogsOfSteps", ("logs:GetLogEvents",), streams), *tasks.statements),
    )


def _on_fargate(pipeline: Pipeline, write_logs: Statement, image: str) -> Fragment:
    """Return the cluster, the role with which ECS starts tasks, and the rights that all steps share."""
    name = cluster_name(pipeline)
    spot = any(step.runtime.wants_spot for step in pipeline.steps)
    cluster = ecs.Cluster(
        "Cluster",
        ClusterName=name,
        CapacityProviders=["FARGATE", "FARGATE_SPOT"] if spot else ["FARGATE"],
        Tags=Tags({"sluice:pipeline": pipeline.name}),
    )
    in_cluster = {"ArnEquals": {"ecs:cluster": arn("ecs", f"cluster/{name}")}}
    tasks = (arn("ecs", f"task/{name}/*"),)
    return Fragment(
        resources=(cluster, _execution_role(pipeline, write_logs, image)),
        statements=(
            Statement("FindTaskDefinitions", ("ecs:DescribeTaskDefinition",), ("*",)),  # it has no resources
            Statement("FindTasks", ("ecs:ListTasks",), ("*",), in_cluster),
            Statement("FollowTasks", ("ecs:DescribeTasks", "ecs:StopTask"), tasks),
            Statement("TagTasks", ("ecs:TagResource",), tasks, {"StringEquals": {"ecs:CreateAction": "RunTask"}}),
            Statement(
                "HandTheRolesToTasksOnly",
                ("iam:PassRole",),
                (f"${{{STEP_ROLE}.Arn}}", f"${{{EXECUTION_ROLE}.Arn}}"),
                {"StringEquals": {"iam:PassedToService": _TASKS}},
            ),
        ),
    )


def _step_role(pipeline: Pipeline, write_logs: Statement) -> iam.Role:
    """Return the role with which a step reads and writes the lake, as a worker does."""
    use_key = ("kms:Decrypt", "kms:GenerateDataKey")
    statements = [
        *lake_rights(pipeline),
        write_logs,
        *([Statement("UseTheKey", use_key, (pipeline.kms_key,))] if pipeline.kms_key else []),
        *joining_rights(pipeline),
    ]
    return _role(STEP_ROLE, pipeline, "a step of it may do", ("lambda.amazonaws.com", _TASKS), statements)


def _execution_role(pipeline: Pipeline, write_logs: Statement, image: str) -> iam.Role:
    """Return the role with which ECS starts a task: it pulls the image and writes the log."""
    return _role(EXECUTION_ROLE, pipeline, "ECS may do to start a step of it", (_TASKS,), [write_logs, *_pull(image)])


def _pull(image: str) -> tuple[Statement, ...]:
    """Return the rights to pull an image from ECR; a public one needs none."""
    found = _ECR_IMAGE.match(image)
    if found is None:
        return ()
    repository = f"arn:${{AWS::Partition}}:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"
    pull = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    return (
        Statement("PullTheImage", pull, (repository,)),
        Statement("LogInToTheImageRegistry", ("ecr:GetAuthorizationToken",), ("*",)),
    )


def _role(
    title: str, pipeline: Pipeline, what: str, services: Sequence[str], statements: Sequence[Statement]
) -> iam.Role:
    trusted = {"Effect": "Allow", "Principal": {"Service": list(services)}, "Action": "sts:AssumeRole"}
    return iam.Role(
        title,
        Description=f"For the pipeline {pipeline.name}: what {what}.",
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trusted]},
        Policies=[iam.Policy(PolicyName="run-steps", PolicyDocument=policy_document(statements))],
    )
