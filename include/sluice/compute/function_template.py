"""The part of a pipeline's template for a step on Lambda: its function, and the workers' right to invoke it."""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Ref, Tags, awslambda

from sluice.aws.template import Fragment, Statement, arn, logical_id
from sluice.compute.names import CODE, HANDLER, STEP_ROLE, log_group, own_name
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.runtimes import Lambda
from sluice.declaration.steps import Conform, Step
from sluice.steps.code import code_fingerprint


def function_template(
    pipeline: Pipeline, step: Conform | Step, declared: Lambda, image: str, event_age_seconds: int
) -> Fragment:
    """Return the function, and the workers' rights.

    Args:
        pipeline: The pipeline that declares the step.
        step: The step.
        declared: The function as declared.
        image: The URI of the image of steps.
        event_age_seconds: How long Lambda keeps an event for which no concurrency is free, in seconds.
    """
    name, resource = own_name(pipeline, step), logical_id(step.name, "Function")
    function = awslambda.Function(
        resource,
        FunctionName=name,
        Description=f"Runs the step {step.name} of the pipeline {pipeline.name}.",
        PackageType="Image",
        Code=awslambda.Code(ImageUri=image),
        ImageConfig=awslambda.ImageConfig(EntryPoint=["python", "-m", "awslambdaric"], Command=[HANDLER]),
        Role=GetAtt(STEP_ROLE, "Arn"),
        MemorySize=declared.memory_mb,
        EphemeralStorage=awslambda.EphemeralStorage(Size=declared.disk_mb),
        Timeout=declared.seconds,
        ReservedConcurrentExecutions=declared.concurrency,
        Environment=awslambda.Environment(Variables={CODE: code_fingerprint(pipeline, step)}),
        LoggingConfig=awslambda.LoggingConfig(LogGroup=log_group(pipeline, step)),
        DependsOn=[logical_id(step.name, "Logs")],
        Tags=Tags({"sluice:pipeline": pipeline.name}),
        **_network(pipeline),
    )
    invoked = awslambda.EventInvokeConfig(
        logical_id(step.name, "Invocations"),
        FunctionName=Ref(resource),
        Qualifier="$LATEST",
        # Airflow decides what is tried again. A second try by Lambda would find the attempt claimed.
        MaximumRetryAttempts=0,
        MaximumEventAgeInSeconds=event_age_seconds,
    )
    return Fragment(
        resources=(function, invoked),
        statements=(
            Statement(
                "RunStepsOnLambda",
                ("lambda:GetFunctionConfiguration", "lambda:InvokeFunction"),
                (arn("lambda", f"function:{name}"),),
            ),
        ),
    )


def _network(pipeline: Pipeline) -> dict[str, Any]:
    if pipeline.network is None:
        return {}
    config = awslambda.VPCConfig(
        SubnetIds=list(pipeline.network.subnets), SecurityGroupIds=list(pipeline.network.security_groups)
    )
    return {"VpcConfig": config}
