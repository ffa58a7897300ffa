"""The part of a pipeline's template for a training that Step Functions runs: the machine, its function, a schedule."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from troposphere import GetAtt, Ref, Tags, awslambda, iam, logs, scheduler, stepfunctions

from sluice.aws.template import Export, Fragment, Statement, arn
from sluice.compute.artefacts import Artefacts
from sluice.compute.joining import joining_rights, network_of_function
from sluice.compute.names import CODE
from sluice.declaration.orchestrators import StepFunctions
from sluice.declaration.pipeline import Pipeline
from sluice.orchestration.machine import definition
from sluice.orchestration.names import HANDLER, machine_name
from sluice.provisioning.completions import completions_rights
from sluice.provisioning.lake import lake_rights
from sluice.provisioning.models import models_rights
from sluice.provisioning.policies import policy_document
from sluice.steps.code import training_fingerprint

_MACHINE, _FUNCTION, _LOGS = "TrainingMachine", "TrainingFunction", "TrainingLogs"
_FUNCTION_ROLE, _MACHINE_ROLE, _SCHEDULE_ROLE = "TrainingFunctionRole", "TrainingMachineRole", "TrainingScheduleRole"
_LOG_DAYS = 30
# Judging holds the test rows and their answers, and draws the report.
_MEMORY_MB, _SECONDS = 3_008, 900
# An act is cheap, and a machine does one at a time; a second machine may run beside it.
_CONCURRENCY = 2
# What cleaning, monitoring, and the decision of a person in Airflow need: no act makes these calls.
_OF_WORKERS_ONLY = frozenset(
    {
        "cloudwatch:GetMetricData",
        "s3:DeleteObject",
        "sagemaker:DeleteEndpointConfig",
        "sagemaker:DeleteModel",
        "sagemaker:ListEndpointConfigs",
        "sagemaker:ListHyperParameterTuningJobs",
        "sagemaker:ListModels",
        "sagemaker:ListTrainingJobs",
        "sagemaker:ListTransformJobs",
        "sagemaker:UpdateModelPackage",
    }
)


def machine_template(pipeline: Pipeline, artefacts: Artefacts) -> Fragment:
    """Return the machine and what it needs; an empty fragment where Airflow's own tasks train.

    Args:
        pipeline: The pipeline.
        artefacts: What functions are made of.

    Raises:
        DeclarationError: the image is needed, and it is not known; or the pipeline has no folder.
    """
    orchestrator = pipeline.training.orchestrator if pipeline.training else None
    if orchestrator is None:
        return Fragment()
    name, code = machine_name(pipeline), training_fingerprint(pipeline)
    schedule = _schedule(pipeline, orchestrator) if orchestrator.schedule else ()
    return Fragment(
        resources=(
            _log_group(name),
            _function_role(pipeline),
            _function(pipeline, artefacts.require_image(pipeline), code),
            _role(_MACHINE_ROLE, pipeline, "states.amazonaws.com", (_invoke(name),)),
            _machine(pipeline, code),
            *schedule,
        ),
        exports=(Export(_MACHINE, "machine", Ref(_MACHINE), "ARN of the machine that trains."),),
        statements=(
            Statement("StartTheMachine", ("states:StartExecution",), (arn("states", f"stateMachine:{name}"),)),
            Statement(
                "FollowTheMachine",
                ("states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"),
                (arn("states", f"execution:{name}:*"),),
            ),
            Statement("CompareTheCode", ("lambda:GetFunctionConfiguration",), (arn("lambda", f"function:{name}"),)),
        ),
    )


def _log_group(name: str) -> logs.LogGroup:
    return logs.LogGroup(_LOGS, LogGroupName=f"/aws/lambda/{name}", RetentionInDays=_LOG_DAYS)


def _function(pipeline: Pipeline, image: str, code: str) -> awslambda.Function:
    return awslambda.Function(
        _FUNCTION,
        FunctionName=machine_name(pipeline),
        Description=f"Does what the states of the training of the pipeline {pipeline.name} need.",
        PackageType="Image",
        Code=awslambda.Code(ImageUri=image),
        ImageConfig=awslambda.ImageConfig(EntryPoint=["python", "-m", "awslambdaric"], Command=[HANDLER]),
        Role=GetAtt(_FUNCTION_ROLE, "Arn"),
        MemorySize=_MEMORY_MB,
        Timeout=_SECONDS,
        Environment=awslambda.Environment(Variables={CODE: code}),
        ReservedConcurrentExecutions=_CONCURRENCY,
        LoggingConfig=awslambda.LoggingConfig(LogGroup=Ref(_LOGS)),
        Tags=Tags({"sluice:pipeline": pipeline.name}),
        **network_of_function(pipeline),
    )


def _machine(pipeline: Pipeline, code: str) -> stepfunctions.StateMachine:
    return stepfunctions.StateMachine(
        _MACHINE,
        StateMachineName=machine_name(pipeline),
        RoleArn=GetAtt(_MACHINE_ROLE, "Arn"),
        DefinitionString=json.dumps(definition(pipeline, "${Function}", code), separators=(",", ":")),
        DefinitionSubstitutions={"Function": GetAtt(_FUNCTION, "Arn")},
        Tags=Tags({"sluice:pipeline": pipeline.name}),
    )


def _schedule(pipeline: Pipeline, orchestrator: StepFunctions) -> Sequence[Any]:
    start = Statement("Start", ("states:StartExecution",), (arn("states", f"stateMachine:{machine_name(pipeline)}"),))
    target = scheduler.Target(
        Arn=Ref(_MACHINE),
        RoleArn=GetAtt(_SCHEDULE_ROLE, "Arn"),
        Input="{}",
        RetryPolicy=scheduler.RetryPolicy(MaximumRetryAttempts=3, MaximumEventAgeInSeconds=3600),
    )
    return (
        _role(_SCHEDULE_ROLE, pipeline, "scheduler.amazonaws.com", (start,)),
        scheduler.Schedule(
            "TrainingSchedule",
            Name=machine_name(pipeline),
            ScheduleExpression=orchestrator.schedule,
            ScheduleExpressionTimezone="UTC",
            FlexibleTimeWindow=scheduler.FlexibleTimeWindow(Mode="OFF"),
            Target=target,
        ),
    )


def _function_role(pipeline: Pipeline) -> iam.Role:
    """Return the role with which the acts train, judge and deploy, as a worker does."""
    name = machine_name(pipeline)
    write_logs = Statement(
        "WriteLogs",
        ("logs:CreateLogStream", "logs:PutLogEvents"),
        (arn("logs", f"log-group:/aws/lambda/{name}:log-stream:*"),),
    )
    key = (
        (Statement("UseTheKey", ("kms:Decrypt", "kms:GenerateDataKey"), (pipeline.kms_key,)),)
        if pipeline.kms_key
        else ()
    )
    # What has started jobs looks whether they are still waited for.
    look = Statement("LookAtTheExecution", ("states:DescribeExecution",), (arn("states", f"execution:{name}:*"),))
    rights = (
        *lake_rights(pipeline),
        *completions_rights(pipeline),
        *_of_the_acts(models_rights(pipeline)),
        look,
        write_logs,
        *key,
        *joining_rights(pipeline),
    )
    return _role(_FUNCTION_ROLE, pipeline, "lambda.amazonaws.com", rights)


def _of_the_acts(rights: Iterable[Statement]) -> Iterator[Statement]:
    for statement in rights:
        actions = tuple(action for action in statement.actions if action not in _OF_WORKERS_ONLY)
        if actions:
            yield replace(statement, actions=actions)


def _invoke(function: str) -> Statement:
    names = (arn("lambda", f"function:{function}"), arn("lambda", f"function:{function}:*"))
    return Statement("DoTheActs", ("lambda:InvokeFunction",), names)


def _role(title: str, pipeline: Pipeline, service: str, statements: Sequence[Statement]) -> iam.Role:
    trusted = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return iam.Role(
        title,
        Description=f"For the training of the pipeline {pipeline.name} by Step Functions.",
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trusted]},
        Policies=[iam.Policy(PolicyName="train", PolicyDocument=policy_document(statements))],
    )
