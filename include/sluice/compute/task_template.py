"""The part of a pipeline's template for a step on Fargate: its task definition, and the workers' right to run it."""

from __future__ import annotations

from troposphere import GetAtt, Ref, Tags, ecs

from sluice.aws.template import Fragment, Statement, arn, logical_id
from sluice.compute.names import (
    CODE,
    CONTAINER,
    EXECUTION_ROLE,
    LOG,
    STEP_ROLE,
    STREAMS,
    cluster_name,
    log_group,
    own_name,
    task_logs,
)
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.runtimes import Fargate
from sluice.declaration.steps import Conform, Step
from sluice.steps.code import code_fingerprint


def task_template(pipeline: Pipeline, step: Conform | Step, declared: Fargate, image: str) -> Fragment:
    """Return the task definition, and the workers' rights.

    Args:
        pipeline: The pipeline that declares the step.
        step: The step.
        declared: The size of a task, unless a run asks for another one.
        image: The URI of the image of steps.
    """
    name, group = own_name(pipeline, step), log_group(pipeline, step)
    variables = {CODE: code_fingerprint(pipeline, step), LOG: task_logs(pipeline, step)}
    container = ecs.ContainerDefinition(
        Name=CONTAINER,
        Image=image,
        EntryPoint=["python", "-m", "sluice.compute.handler"],
        Environment=[ecs.Environment(Name=key, Value=value) for key, value in variables.items()],
        LogConfiguration=ecs.LogConfiguration(
            LogDriver="awslogs",
            Options={"awslogs-group": group, "awslogs-region": Ref("AWS::Region"), "awslogs-stream-prefix": STREAMS},
        ),
    )
    definition = ecs.TaskDefinition(
        logical_id(step.name, "Task"),
        Family=name,
        RequiresCompatibilities=["FARGATE"],
        NetworkMode="awsvpc",
        Cpu=str(int(declared.vcpu * 1024)),
        Memory=str(int(declared.memory_gb * 1024)),
        ContainerDefinitions=[container],
        TaskRoleArn=GetAtt(STEP_ROLE, "Arn"),
        ExecutionRoleArn=GetAtt(EXECUTION_ROLE, "Arn"),
        Tags=Tags({"sluice:pipeline": pipeline.name}),
    )
    in_cluster = {"ArnEquals": {"ecs:cluster": arn("ecs", f"cluster/{cluster_name(pipeline)}")}}
    run = Statement("RunStepsOnFargate", ("ecs:RunTask",), (arn("ecs", f"task-definition/{name}:*"),), in_cluster)
    return Fragment(resources=(definition,), statements=(run,))
