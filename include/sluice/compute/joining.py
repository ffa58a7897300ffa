"""How a function joins the network of its pipeline, and what its role needs for that."""

from __future__ import annotations

from typing import Any

from troposphere import awslambda

from sluice.aws.template import Statement
from sluice.declaration.pipeline import Pipeline

# AWS managed policy AWSLambdaVPCAccessExecutionRole.
_ACTIONS = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)


def network_of_function(pipeline: Pipeline) -> dict[str, Any]:
    """Return the members of a function that put it into the declared network; none without one."""
    if pipeline.network is None:
        return {}
    config = awslambda.VPCConfig(
        SubnetIds=list(pipeline.network.subnets), SecurityGroupIds=list(pipeline.network.security_groups)
    )
    return {"VpcConfig": config}


def joining_rights(pipeline: Pipeline) -> tuple[Statement, ...]:
    """Return the rights with which Lambda joins the network in the name of a function's role; none without one."""
    return (Statement("JoinTheNetwork", _ACTIONS, ("*",)),) if pipeline.network else ()
