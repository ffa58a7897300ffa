"""The part of a pipeline's template for a training that Step Functions runs: the machine, its function, a schedule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from troposphere import GetAtt, Ref, Tags, awslambda, iam, logs, scheduler, stepfunctions

from sluice.aws.template import Export, Fragment, Statement, arn
from sluice.compute.artefacts import Artefacts
from sluice.declaration.orchestrators import StepFunctions
from sluice.declaration.pipeline import Pipeline
from sluice.orchestration.machine import definition
from sluice.orchestration.names import HANDLER, machine_name
from sluice.provisioning.completions import completions_rights
from sluice.provisioning.lake import lake_rights
from sluice.provisioning.models import models_rights
from sluice.provisioning.policies import policy_document

_MACHINE, _FUNCTION, _LOGS = "TrainingMachine", "TrainingFunction", "TrainingLogs"
_FUNCTION_ROLE, _MACHINE_ROLE, _SCHEDULE_ROLE = "TrainingFunctionRole", "TrainingMachineRole", "TrainingScheduleRole"
_LOG_DAYS = 30
# Judging holds the test rows and their answers, and draws the report.
_MEMORY_MB, _SECONDS = 3_008, 900
# An act is cheap, and a machine does one at a time; a second machine may run beside it.
_CONCURRENCY = 2


def machine_template(pipeline: Pipeline, artefacts: Artefacts) -> Fragment:
    """Return the machine and what it needs; an empty fragment where Airflow's own tasks train.

    Args:
        pipeline: The pipeline.
        artefacts: What functions are made of.

    Raises:
        DeclarationError: the image is needed, and it is not known.
    """
    orchestrator = pipeline.training.orchestrator if pipeline.training else None
    if orchestrator is None:
        return Fragment()
    name = machine_name(pipeline)
    schedule = _schedule(pipeline, orchestrator) if orchestrator.schedule else ()
    return Fragment(
        resources=(
            _log_group(name),
            _function_role(pipeline),
            _function(pipeline, artefacts.require_image(pipeline)),
            _role(_MACHINE_ROLE, pipeline, "states.amazonaws.com", (_invoke(name),)),
            _machine(pipeline),
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
        ),
    )


def _log_group(name: str) -> logs.LogGroup:
    return logs.LogGroup(_LOGS, LogGroupName=f"/aws/lambda/{name}", RetentionInDays=_LOG_DAYS)


def _function(pipeline: Pipeline, image: str) -> awslambda.Function:
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
        ReservedConcurrentExecutions=_CONCURRENCY,
        LoggingConfig=awslambda.LoggingConfig(LogGroup=Ref(_LOGS)),
        Tags=Tags({"sluice:pipeline": pipeline.name}),
    )


def _machine(pipeline: Pipeline) -> stepfunctions.StateMachine:
    return stepfunctions.StateMachine(
        _MACHINE,
        StateMachineName=machine_name(pipeline),
        RoleArn=GetAtt(_MACHINE_ROLE, "Arn"),
        DefinitionString=json.dumps(definition(pipeline, "${Function}"), separators=(",", ":")),
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
    rights = (*lake_rights(pipeline), *completions_rights(pipeline), *models_rights(pipeline), write_logs, *key)
    return _role(_FUNCTION_ROLE, pipeline, "lambda.amazonaws.com", rights)


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
