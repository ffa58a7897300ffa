"""The part of a pipeline's template for training and serving: SageMaker's role, and the workers' rights."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from troposphere import AWSObject, GetAtt, Ref, iam
from troposphere.cloudwatch import Alarm, MetricDimension

from sluice.aws.template import Export, Fragment, Statement, arn, lake_arn
from sluice.declaration.deployment import Deployment
from sluice.declaration.pipeline import Pipeline
from sluice.evaluation.transforms import scoring_stem
from sluice.lake.layout import Folder
from sluice.provisioning.policies import policy_document
from sluice.serving.recipe import VARIANT
from sluice.serving.registry import group_name
from sluice.serving.rollout import alarm_names
from sluice.training.algorithms.contract import algorithm_named
from sluice.training.log import GROUP as LOG_GROUP
from sluice.training.names import name_stems, tuning_name_stem

ROLE = "TrainingRole"
_MADE = ("snapshots", "models", "evaluations/scores")  # folders of the lake


def models_template(pipeline: Pipeline) -> Fragment:
    """Return the role and the workers' rights; an empty fragment for a pipeline without a training."""
    if pipeline.training is None:
        return Fragment()
    return Fragment(
        resources=(_role(pipeline), *_alarms(pipeline)),
        exports=(
            Export("Role", "role", GetAtt(ROLE, "Arn"), "ARN of the role that SageMaker trains and serves with."),
        ),
        statements=(*_train(pipeline), *(_serve(pipeline, pipeline.deployment) if pipeline.deployment else ())),
    )


def _alarms(pipeline: Pipeline) -> tuple[AWSObject, ...]:
    """Return the alarms that undo a canary, if one is declared."""
    deployment = pipeline.deployment
    if deployment is None or deployment.canary is None:
        return ()
    errors, latency = alarm_names(pipeline)
    common: dict[str, Any] = {
        "Namespace": "AWS/SageMaker",
        "Dimensions": [
            MetricDimension(Name="EndpointName", Value=deployment.endpoint),
            MetricDimension(Name="VariantName", Value=VARIANT),
        ],
        "Period": 60,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    slowest = deployment.canary.slowest / timedelta(microseconds=1)
    return (
        Alarm(
            "EndpointErrors",
            AlarmName=errors,
            AlarmDescription=f"Endpoint {deployment.endpoint} answers with a status of 5XX.",
            MetricName="Invocation5XXErrors",
            Statistic="Sum",
            Threshold=deployment.canary.most_errors,
            **common,
        ),
        Alarm(
            "EndpointLatency",
            AlarmName=latency,
            AlarmDescription=f"The model of endpoint {deployment.endpoint} is slow. The unit is microseconds.",
            MetricName="ModelLatency",
            ExtendedStatistic="p99",
            Threshold=slowest,
            **common,
        ),
    )


def _tune(pipeline: Pipeline) -> tuple[Statement, ...]:
    """Return the rights to tune, for candidates that declare it. SageMaker starts the training jobs by itself."""
    tuned = [each for each in pipeline.require_training().candidates if each.tuning is not None]
    if not tuned:
        return ()
    tune = Statement(
        "Tune",
        (
            "sagemaker:AddTags",
            "sagemaker:CreateHyperParameterTuningJob",
            "sagemaker:DescribeHyperParameterTuningJob",
            "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
            "sagemaker:StopHyperParameterTuningJob",
        ),
        tuple(arn("sagemaker", f"hyper-parameter-tuning-job/{tuning_name_stem(pipeline, each)}*") for each in tuned),
    )
    # The action has no resources.
    return tune, Statement("FindTuningJobs", ("sagemaker:ListHyperParameterTuningJobs",), ("*",))


def _train(pipeline: Pipeline) -> tuple[Statement, ...]:
    return (
        Statement(
            "Train",
            (
                "sagemaker:AddTags",
                "sagemaker:CreateTrainingJob",
                "sagemaker:DescribeTrainingJob",
                "sagemaker:StopTrainingJob",
            ),
            tuple(arn("sagemaker", f"training-job/{stem}*") for stem in name_stems(pipeline)),
        ),
        Statement(
            "Score",
            (
                "sagemaker:AddTags",
                "sagemaker:CreateModel",
                "sagemaker:CreateTransformJob",
                "sagemaker:DeleteModel",
                "sagemaker:DescribeModel",
                "sagemaker:DescribeTransformJob",
                "sagemaker:StopTransformJob",
            ),
            (
                *(arn("sagemaker", f"model/{stem}*") for stem in name_stems(pipeline)),  # a model has its job's name
                arn("sagemaker", f"transform-job/{scoring_stem(pipeline.name)}*"),
            ),
        ),
        Statement(
            "Register",
            (
                "sagemaker:AddTags",
                "sagemaker:CreateModelPackage",
                "sagemaker:CreateModelPackageGroup",
                "sagemaker:DescribeModelPackage",
                "sagemaker:DescribeModelPackageGroup",
                "sagemaker:UpdateModelPackage",
            ),
            (
                arn("sagemaker", f"model-package-group/{group_name(pipeline)}"),
                arn("sagemaker", f"model-package/{group_name(pipeline)}/*"),
            ),
        ),
        Statement("FindTrainingLogs", ("logs:DescribeLogStreams",), (arn("logs", f"log-group:{LOG_GROUP}:*"),)),
        Statement(
            "ReadTrainingLogs",
            ("logs:GetLogEvents",),
            tuple(arn("logs", f"log-group:{LOG_GROUP}:log-stream:{stem}*") for stem in name_stems(pipeline)),
        ),
        *_tune(pipeline),
        *_clean(pipeline),
        Statement(
            "HandTheRoleToSageMakerOnly",
            ("iam:PassRole",),
            (f"${{{ROLE}.Arn}}",),
            {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
    )


def _clean(pipeline: Pipeline) -> tuple[Statement, ...]:
    """Return the rights to find and to remove what is not needed any more."""
    name, deployment = pipeline.name, pipeline.deployment
    configs = ("sagemaker:ListEndpointConfigs",) if deployment else ()
    return (
        Statement(
            "FindModelsJobsAndQuotas",
            (
                *configs,
                "sagemaker:ListModels",
                "sagemaker:ListTrainingJobs",
                "sagemaker:ListTransformJobs",
                "servicequotas:ListAWSDefaultServiceQuotas",
                "servicequotas:ListServiceQuotas",
            ),
            ("*",),  # these actions have no resources
        ),
        Statement(
            "DeleteSnapshotsModelsAndScores",
            ("s3:DeleteObject",),
            tuple(lake_arn(name, f"/{name}/{each}/*") for each in (*_MADE, *_batches(pipeline))),
        ),
    )


def _batches(pipeline: Pipeline) -> tuple[str, ...]:
    """Return the folder of what is scored in batch, if that is declared."""
    return (Folder.BATCHES,) if pipeline.scoring else ()


def _serve(pipeline: Pipeline, deployment: Deployment) -> tuple[Statement, ...]:
    serve = Statement(
        "Serve",
        (
            "sagemaker:AddTags",
            "sagemaker:CreateEndpoint",
            "sagemaker:CreateEndpointConfig",
            "sagemaker:CreateModel",
            "sagemaker:DeleteEndpoint",
            "sagemaker:DeleteEndpointConfig",
            "sagemaker:DescribeEndpoint",
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:DescribeModel",
            "sagemaker:InvokeEndpoint",
            "sagemaker:UpdateEndpoint",
        ),
        (
            arn("sagemaker", f"endpoint/{deployment.endpoint}"),
            arn("sagemaker", f"endpoint-config/{deployment.endpoint}-*"),
            arn("sagemaker", f"model/{deployment.endpoint}-*"),  # a model of an endpoint that Sluice takes over
        ),
    )
    scale = () if deployment.serverless else _scale(deployment)
    watch = Statement("ReadMetrics", ("cloudwatch:GetMetricData",), ("*",))  # the action has no resources
    return (
        serve,
        *scale,
        *((watch,) if deployment.monitoring else ()),
        *(_grants(pipeline.kms_key) if pipeline.kms_key else ()),
    )


def _scale(deployment: Deployment) -> tuple[Statement, ...]:
    """Return the rights to make the endpoint scale, and those to end it, which remain when it is declared no more.

    Source: SageMaker developer guide, "Auto scaling prerequisites". The actions of Application Auto Scaling know no
    names of endpoints, and it makes its alarms and changes the endpoint in the caller's name.
    """
    of_sagemaker = {"StringEquals": {"application-autoscaling:service-namespace": "sagemaker"}}
    end = Statement("EndScaling", ("application-autoscaling:DeregisterScalableTarget",), ("*",), of_sagemaker)
    if deployment.autoscaling is None:
        return (end,)
    role = "aws-service-role/sagemaker.application-autoscaling.amazonaws.com"
    return (
        end,
        Statement(
            "Scale",
            ("application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget"),
            ("*",),
            of_sagemaker,
        ),
        Statement(
            "FindScaling",
            ("application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies"),
            ("*",),
        ),
        Statement(
            "ScaleTheEndpoint",
            ("sagemaker:UpdateEndpointWeightsAndCapacities",),
            (arn("sagemaker", f"endpoint/{deployment.endpoint}"),),
        ),
        Statement(
            "ScaleByAlarms",
            ("cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"),
            (arn("cloudwatch", f"alarm:TargetTracking-endpoint/{deployment.endpoint}/*"),),
        ),
        Statement(
            "MakeTheRoleThatScales",
            ("iam:CreateServiceLinkedRole",),
            (f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/{role}/*",),
            {"StringEquals": {"iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}},
        ),
    )


def _grants(kms_key: str) -> tuple[Statement, ...]:
    """Return the right to let SageMaker encrypt the disks of instances.

    The caller or the role creates a grant for it (SageMaker developer guide, "API permissions reference").
    """
    for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    return (Statement("LetSageMakerUseTheKey", ("kms:CreateGrant",), (kms_key,), for_aws),)


def _role(pipeline: Pipeline) -> iam.Role:
    trusted = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": Ref("AWS::AccountId")}},
    }
    return iam.Role(
        ROLE,
        Description=f"What SageMaker may do while it trains and serves the pipeline {pipeline.name}.",
        AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trusted]},
        Policies=[iam.Policy(PolicyName="train-and-serve", PolicyDocument=policy_document(_role_statements(pipeline)))],
    )


def _role_statements(pipeline: Pipeline) -> list[Statement]:
    """Return the rights of the role (SageMaker developer guide, "How to use SageMaker execution roles")."""
    name, candidates = pipeline.name, pipeline.require_training().candidates
    repositories = sorted({algorithm_named(candidate.algorithm).repository for candidate in candidates})
    snapshots, models, scores = (lake_arn(name, f"/{name}/{folder}/*") for folder in _MADE)
    rows, answers = (
        tuple(lake_arn(name, f"/{name}/{each}/*/{part}/*") for each in _batches(pipeline))
        for part in ("rows", "answers")
    )
    statements = [
        Statement(
            "FindTheData",
            ("s3:ListBucket",),
            (lake_arn(name),),
            {
                "StringLike": {
                    "s3:prefix": [f"{name}/{each}/*" for each in ("snapshots", "models", *_batches(pipeline))]
                }
            },
        ),
        Statement("ReadSnapshotsAndModels", ("s3:GetObject",), (snapshots, models, *rows)),
        Statement("WriteModelsAndScores", ("s3:PutObject", "s3:AbortMultipartUpload"), (models, scores, *answers)),
        Statement(
            "WriteLogs",
            ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
            tuple(arn("logs", f"log-group:{group}") for group in _log_groups(pipeline)),
        ),
        Statement(
            "WriteMetrics",
            ("cloudwatch:PutMetricData",),
            ("*",),
            {"StringLike": {"cloudwatch:namespace": "*/aws/sagemaker/*"}},
        ),
        Statement(
            "PullBuiltInImages",
            ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            # The built-in images are in accounts of AWS that differ by region.
            tuple(f"arn:${{AWS::Partition}}:ecr:${{AWS::Region}}:*:repository/{each}" for each in repositories),
        ),
        Statement("LogInToTheImageRegistry", ("ecr:GetAuthorizationToken",), ("*",)),
    ]
    if pipeline.kms_key:
        use = ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")
        statements += [Statement("UseTheKey", use, (pipeline.kms_key,)), *_grants(pipeline.kms_key)]
    if pipeline.deployment and pipeline.deployment.canary:
        statements.append(
            Statement(
                "WatchTheAlarms",
                ("cloudwatch:DescribeAlarms",),
                tuple(arn("cloudwatch", f"alarm:{name}") for name in alarm_names(pipeline)),
            )
        )
    if pipeline.network:
        statements.append(Statement("JoinTheNetwork", _JOIN_A_NETWORK, ("*",)))
    return statements


_JOIN_A_NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)


def _log_groups(pipeline: Pipeline) -> list[str]:
    """Return the log groups of the pipeline's jobs and endpoint, each also with its streams."""
    groups = [LOG_GROUP, "/aws/sagemaker/TransformJobs"]
    if pipeline.deployment:
        groups.append(f"/aws/sagemaker/Endpoints/{pipeline.deployment.endpoint}")
    return [f"{group}{streams}" for group in groups for streams in ("", ":*")]
