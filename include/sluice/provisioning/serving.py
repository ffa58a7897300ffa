"""The alarms of an endpoint, and the workers' rights to deploy, scale and watch it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from troposphere import AWSObject
from troposphere.cloudwatch import Alarm, MetricDimension

from sluice.aws.template import Statement, arn
from sluice.declaration.deployment import Deployment
from sluice.declaration.pipeline import Pipeline
from sluice.provisioning.role import grants
from sluice.serving.recipe import VARIANT
from sluice.serving.rollout import alarm_names


def canary_alarms(pipeline: Pipeline) -> tuple[AWSObject, ...]:
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


def serving_rights(pipeline: Pipeline, deployment: Deployment) -> tuple[Statement, ...]:
    """Return the rights of a pipeline that declares a deployment.

    Args:
        pipeline: The pipeline.
        deployment: Its deployment.
    """
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
        *(grants(pipeline.kms_key) if pipeline.kms_key else ()),
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
