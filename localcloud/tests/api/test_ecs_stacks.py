"""Clusters and task definitions in a CloudFormation template."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from localcloud.testing.clouds import Cloud
from localcloud.testing.fargate import CONTAINER, Fargate
from localcloud.testing.stacks import WAIT


def template(fargate: Fargate, script: str, **changes: Any) -> str:
    """Return a template of a cluster, and a definition that runs a script."""
    options = {
        "awslogs-group": fargate.name,
        "awslogs-region": {"Ref": "AWS::Region"},
        "awslogs-stream-prefix": "run",
    }
    definition = {
        "Family": fargate.name,
        "RequiresCompatibilities": ["FARGATE"],
        "NetworkMode": "awsvpc",
        "Cpu": 256,
        "Memory": "512",
        "ExecutionRoleArn": fargate.role,
        "TaskRoleArn": fargate.role,
        "ContainerDefinitions": [
            {
                "Name": CONTAINER,
                "Image": "worker:1",
                "Command": ["python", "-c", script],
                "StopTimeout": "120",
                "Essential": "true",
                "Environment": [{"Name": "A", "Value": "1"}],
                "LogConfiguration": {"LogDriver": "awslogs", "Options": options},
            }
        ],
        **changes,
    }
    return json.dumps(
        {
            "Resources": {
                "Cluster": {
                    "Type": "AWS::ECS::Cluster",
                    "Properties": {
                        "ClusterName": f"{fargate.name}-own",
                        "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
                    },
                },
                "Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": definition},
            },
            "Outputs": {
                "Definition": {"Value": {"Ref": "Definition"}},
                "Cluster": {"Value": {"Ref": "Cluster"}},
                "ClusterArn": {"Value": {"Fn::GetAtt": ["Cluster", "Arn"]}},
            },
        }
    )


@pytest.fixture
def cloudformation(cloud: Cloud) -> Any:
    return cloud.client("cloudformation")


def outputs(cloudformation: Any, name: str) -> dict[str, str]:
    [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_a_stack_makes_a_cluster_and_a_definition_that_run(fargate: Fargate, cloudformation: Any) -> None:
    body = template(fargate, "import os; print(os.environ['A'])")
    cloudformation.create_stack(StackName=fargate.name, TemplateBody=body)
    cloudformation.get_waiter("stack_create_complete").wait(StackName=fargate.name, WaiterConfig=WAIT)
    made = outputs(cloudformation, fargate.name)
    assert made["Cluster"] == f"{fargate.name}-own"
    assert made["ClusterArn"] == f"arn:aws:ecs:us-east-1:000000000000:cluster/{fargate.name}-own"
    assert made["Definition"] == f"arn:aws:ecs:us-east-1:000000000000:task-definition/{fargate.name}:1"
    definition = fargate.ecs.describe_task_definition(taskDefinition=made["Definition"])["taskDefinition"]
    container = definition["containerDefinitions"][0]
    assert (definition["cpu"], container["stopTimeout"], container["essential"]) == ("256", 120, True)
    request = fargate.request(made["Definition"]) | {"cluster": made["Cluster"]}
    task = fargate.ecs.run_task(**request)["tasks"][0]["taskArn"]
    waiter = fargate.ecs.get_waiter("tasks_stopped")
    waiter.wait(cluster=made["Cluster"], tasks=[task], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert fargate.lines(task) == ["1"]


def test_an_update_registers_a_new_revision_and_the_end_removes_all(fargate: Fargate, cloudformation: Any) -> None:
    cloudformation.create_stack(StackName=fargate.name, TemplateBody=template(fargate, "print(1)"))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=fargate.name, WaiterConfig=WAIT)
    first = outputs(cloudformation, fargate.name)["Definition"]
    cloudformation.update_stack(StackName=fargate.name, TemplateBody=template(fargate, "print(2)"))
    cloudformation.get_waiter("stack_update_complete").wait(StackName=fargate.name, WaiterConfig=WAIT)
    second = outputs(cloudformation, fargate.name)["Definition"]
    assert (first[-2:], second[-2:]) == (":1", ":2")
    described = [
        fargate.ecs.describe_task_definition(taskDefinition=each)["taskDefinition"] for each in (first, second)
    ]
    assert [each["status"] for each in described] == ["INACTIVE", "ACTIVE"]
    assert described[1]["containerDefinitions"][0]["command"][-1] == "print(2)"
    cluster = outputs(cloudformation, fargate.name)["Cluster"]
    cloudformation.delete_stack(StackName=fargate.name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=fargate.name, WaiterConfig=WAIT)
    assert fargate.ecs.list_task_definitions(familyPrefix=fargate.name)["taskDefinitionArns"] == []
    with pytest.raises(fargate.ecs.exceptions.ClusterNotFoundException):
        fargate.ecs.list_tasks(cluster=cluster)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Memory": "4096"}, "No Fargate configuration exists for given values: 256 CPU, 4096 memory."),
        ({"Command": ["x"]}, "AWS::ECS::TaskDefinition has no property Command"),
        ({"NetworkMode": "all"}, "Member must satisfy enum value set"),
    ],
)
def test_a_definition_that_ecs_refuses_fails_its_stack(
    fargate: Fargate, cloudformation: Any, changes: dict[str, Any], reason: str
) -> None:
    body = template(fargate, "print(1)", **changes)
    cloudformation.create_stack(StackName=fargate.name, TemplateBody=body)
    with pytest.raises(WaiterError):
        cloudformation.get_waiter("stack_create_complete").wait(StackName=fargate.name, WaiterConfig=WAIT)
    events = cloudformation.describe_stack_events(StackName=fargate.name)["StackEvents"]
    assert any(reason in event.get("ResourceStatusReason", "") for event in events), events
    assert fargate.ecs.list_task_definitions(familyPrefix=fargate.name)["taskDefinitionArns"] == []
