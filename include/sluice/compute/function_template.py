"""The part of a pipeline's template for a step on Lambda: its function, and the workers' right to invoke it."""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Ref, Tags, awslambda

from sluice.aws.template import Fragment, Statement, arn, logical_id
from sluice.compute.artefacts import Artefacts
from sluice.compute.joining import network_of_function
from sluice.compute.names import CODE, HANDLER, STEP_ROLE, log_group, own_name
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.runtimes import Lambda
from sluice.declaration.steps import Conform, Step
from sluice.steps.code import code_fingerprint

_RUNTIME = "python3.11"


def function_template(
    pipeline: Pipeline, step: Conform | Step, declared: Lambda, artefacts: Artefacts, event_age_seconds: int
) -> Fragment:
    """Return the function, and the workers' rights.

    Args:
        pipeline: The pipeline that declares the step.
        step: The step.
        declared: The function as declared.
        artefacts: What the function is made of.
        event_age_seconds: How long Lambda keeps an event for which no concurrency is free, in seconds.
    """
    name, resource = own_name(pipeline, step), logical_id(step.name, "Function")
    function = awslambda.Function(
        resource,
        FunctionName=name,
        Description=f"Runs the step {step.name} of the pipeline {pipeline.name}.",
        **_package(pipeline, step, declared, artefacts),
        Role=GetAtt(STEP_ROLE, "Arn"),
        MemorySize=declared.memory_mb,
        EphemeralStorage=awslambda.EphemeralStorage(Size=declared.disk_mb),
        Timeout=declared.seconds,
        ReservedConcurrentExecutions=declared.concurrency,
        Environment=awslambda.Environment(Variables={CODE: code_fingerprint(pipeline, step)}),
        LoggingConfig=awslambda.LoggingConfig(LogGroup=log_group(pipeline, step)),
        DependsOn=[logical_id(step.name, "Logs")],
        Tags=Tags({"sluice:pipeline": pipeline.name}),
        **network_of_function(pipeline),
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
        resources=(function, invoked, *_layers(pipeline, step, declared, artefacts)),
        statements=(
            Statement(
                "RunStepsOnLambda",
                ("lambda:GetFunctionConfiguration", "lambda:InvokeFunction"),
                (arn("lambda", f"function:{name}"),),
            ),
            Statement(
                "SearchTheLogsOfFunctions",
                ("logs:FilterLogEvents",),
                (arn("logs", f"log-group:{log_group(pipeline, step)}:*"),),
            ),
        ),
    )


def _package(pipeline: Pipeline, step: Conform | Step, declared: Lambda, artefacts: Artefacts) -> dict[str, Any]:
    if declared.package == "image":
        return {
            "PackageType": "Image",
            "Code": awslambda.Code(ImageUri=artefacts.require_image(pipeline)),
            "ImageConfig": awslambda.ImageConfig(EntryPoint=["python", "-m", "awslambdaric"], Command=[HANDLER]),
        }
    code, _ = artefacts.require_archives(pipeline)
    return {
        "PackageType": "Zip",
        "Runtime": _RUNTIME,
        "Handler": HANDLER,
        "Code": awslambda.Code(S3Bucket=code.bucket, S3Key=code.key),
        "Layers": [Ref(logical_id(step.name, "Libraries"))],
    }


def _layers(
    pipeline: Pipeline, step: Conform | Step, declared: Lambda, artefacts: Artefacts
) -> tuple[awslambda.LayerVersion, ...]:
    if declared.package == "image":
        return ()
    _, layer = artefacts.require_archives(pipeline)
    return (
        awslambda.LayerVersion(
            logical_id(step.name, "Libraries"),
            LayerName=own_name(pipeline, step),
            Description=f"The libraries of the step {step.name} of the pipeline {pipeline.name}.",
            CompatibleRuntimes=[_RUNTIME],
            Content=awslambda.Content(S3Bucket=layer.bucket, S3Key=layer.key),
        ),
    )
