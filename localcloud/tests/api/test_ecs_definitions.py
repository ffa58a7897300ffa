"""Task definitions and clusters: registered with Fargate's checks, found, deregistered."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.fargate import CONTAINER, Fargate

WORDS = (
    "No Fargate configuration exists for given values: {} CPU, {} memory. "
    "See the Amazon ECS documentation for the valid values."
)


def refused(fargate: Fargate, members: dict[str, Any]) -> str:
    """Return the code and message with which a definition is refused; a member of None is left out."""
    changed = {
        name: value for name, value in {**fargate.definition("print(1)"), **members}.items() if value is not None
    }
    with pytest.raises(ClientError) as error:
        fargate.ecs.register_task_definition(**changed)
    answer = error.value.response["Error"]
    return f"{answer['Code']}: {answer['Message']}"


def test_a_definition_is_registered_and_described(fargate: Fargate) -> None:
    request = fargate.definition("print(1)") | {"cpu": ".5 vCPU", "memory": "1 GB", "taskRoleArn": fargate.role}
    tags = [{"key": "team", "value": "a"}]
    registered = fargate.ecs.register_task_definition(**request, tags=tags)
    definition = registered["taskDefinition"]
    assert registered["tags"] == tags
    assert definition["taskDefinitionArn"] == (f"arn:aws:ecs:us-east-1:000000000000:task-definition/{fargate.name}:1")
    assert (definition["revision"], definition["status"]) == (1, "ACTIVE")
    assert (definition["cpu"], definition["memory"]) == ("512", "1024")
    assert definition["compatibilities"] == ["EC2", "FARGATE"]
    container = definition["containerDefinitions"][0]
    assert request["containerDefinitions"][0].items() <= container.items()
    assert (container["essential"], container["cpu"], container["environment"]) == (True, 0, [])
    for reference in (fargate.name, f"{fargate.name}:1", definition["taskDefinitionArn"]):
        answer = fargate.ecs.describe_task_definition(taskDefinition=reference, include=["TAGS"])
        assert (answer["taskDefinition"], answer["tags"]) == (definition, tags)


def test_revisions_only_grow(fargate: Fargate) -> None:
    first, second = (fargate.register("print(1)") for _ in range(2))
    assert (first[-2:], second[-2:]) == (":1", ":2")
    fargate.ecs.deregister_task_definition(taskDefinition=second)
    listed = fargate.ecs.list_task_definitions
    assert listed(familyPrefix=fargate.name)["taskDefinitionArns"] == [first]
    assert listed(familyPrefix=fargate.name, status="INACTIVE")["taskDefinitionArns"] == [second]
    assert fargate.ecs.describe_task_definition(taskDefinition=fargate.name)["taskDefinition"]["revision"] == 1
    assert fargate.ecs.describe_task_definition(taskDefinition=second)["taskDefinition"]["status"] == "INACTIVE"
    deleted = fargate.ecs.delete_task_definitions(taskDefinitions=[first, second])
    assert [each["taskDefinitionArn"] for each in deleted["taskDefinitions"]] == [second]
    assert [each["arn"] for each in deleted["failures"]] == [first]
    third = fargate.register("print(1)")
    assert third[-2:] == ":3"
    assert listed(familyPrefix=fargate.name, sort="DESC")["taskDefinitionArns"] == [third, first]
    assert fargate.ecs.list_task_definition_families(familyPrefix=fargate.name)["families"] == [fargate.name]


def test_a_definition_that_is_not_there_can_not_be_described(fargate: Fargate) -> None:
    for reference in ("none", "none:1", "arn:aws:ecs:us-east-1:000000000000:task-definition/none:1"):
        with pytest.raises(fargate.ecs.exceptions.ClientException, match="Unable to describe task definition"):
            fargate.ecs.describe_task_definition(taskDefinition=reference)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"memory": "4096"}, "ClientException: " + WORDS.format(256, 4096)),
        ({"cpu": "300"}, "ClientException: " + WORDS.format(300, 512)),
        ({"cpu": "16384", "memory": "122881"}, "ClientException: " + WORDS.format(16384, 122881)),
        ({"cpu": "much"}, "ClientException: Invalid 'cpu' setting for task."),
        ({"memory": None}, "ClientException: Fargate requires that 'memory' be defined at the task level."),
        ({"cpu": None}, "ClientException: Fargate requires that 'cpu' be defined at the task level."),
        ({"networkMode": None}, "ClientException: Fargate only supports network mode ‘awsvpc’."),  # noqa: RUF001
        ({"networkMode": "host"}, "ClientException: Fargate only supports network mode ‘awsvpc’."),  # noqa: RUF001
        (
            {"executionRoleArn": None},
            "ClientException: Fargate requires task definition to have execution role ARN to support log driver "
            "awslogs.",
        ),
        ({"family": "a b"}, "ClientException: Family contains invalid characters."),
        ({"taskRoleArn": "arn:of/nothing"}, "ClientException: Role is not valid"),
        ({"containerDefinitions": []}, "ClientException: Container list cannot be empty."),
        (
            {"ephemeralStorage": {"sizeInGiB": 20}},
            "ClientException: The ephemeral storage of a task on Fargate must be 21 to 200 GiB.",
        ),
        (
            {"requiresCompatibilities": ["LAMBDA"]},
            "ValidationException: 1 validation error detected: Value 'LAMBDA' at 'requiresCompatibilities.1.member' "
            "failed to satisfy constraint: Member must satisfy enum value set: [EC2, FARGATE, EXTERNAL, "
            "MANAGED_INSTANCES]",
        ),
    ],
    ids=lambda each: str(each)[:50] if isinstance(each, dict) else "",
)
def test_a_definition_that_ecs_refuses_is_refused(fargate: Fargate, members: dict[str, Any], message: str) -> None:
    assert refused(fargate, members) == message
    assert fargate.ecs.list_task_definitions(familyPrefix=fargate.name)["taskDefinitionArns"] == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"image": ""}, "Container.image should not be null or empty."),
        ({"name": "a b"}, "Container.name contains invalid characters."),
        ({"memory": 600}, f"The 'memory' setting for container '{CONTAINER}' is greater than for the task."),
        ({"stopTimeout": 121}, f"The stopTimeout of container {CONTAINER} must be 0 to 120 seconds."),
        ({"essential": False}, "A task definition must have at least one essential container."),
        ({"secrets": [{"name": "a", "valueFrom": "b"}]}, f"Container {CONTAINER}: this cloud has no secrets."),
        (
            {"logConfiguration": {"logDriver": "splunk"}},
            f"Container {CONTAINER}: this cloud has the log driver awslogs only.",
        ),
        (
            {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "a"}}},
            "Log driver awslogs requires options: awslogs-region, awslogs-stream-prefix.",
        ),
    ],
    ids=lambda each: str(each)[:50] if isinstance(each, dict) else "",
)
def test_a_container_that_ecs_or_this_cloud_refuses_is_refused(
    fargate: Fargate, members: dict[str, Any], message: str
) -> None:
    container = fargate.definition("print(1)")["containerDefinitions"][0] | members
    assert refused(fargate, {"containerDefinitions": [container]}) == f"ClientException: {message}"


def test_a_task_of_two_containers_is_refused(fargate: Fargate) -> None:
    container = fargate.definition("print(1)")["containerDefinitions"][0]
    assert refused(fargate, {"containerDefinitions": [container, {**container, "name": "side"}]}) == (
        "ClientException: This cloud runs tasks of one container, without volumes and proxies."
    )


def test_a_cluster_is_created_once_described_and_deleted(fargate: Fargate) -> None:
    name = f"{fargate.name}-more"
    tags = [{"key": "team", "value": "a"}]
    created = fargate.ecs.create_cluster(clusterName=name, tags=tags)["cluster"]
    assert (created["clusterName"], created["status"]) == (name, "ACTIVE")
    assert fargate.ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"] == created["clusterArn"]
    answer = fargate.ecs.describe_clusters(clusters=[name, "none"], include=["TAGS"])
    assert (answer["clusters"][0]["tags"], answer["failures"][0]["reason"]) == (tags, "MISSING")
    assert created["clusterArn"] in fargate.ecs.list_clusters()["clusterArns"]
    fargate.ecs.delete_cluster(cluster=name)
    with pytest.raises(fargate.ecs.exceptions.ClusterNotFoundException):
        fargate.ecs.list_tasks(cluster=name)
    with pytest.raises(ClientError, match="Invalid cluster name 'a b'"):
        fargate.ecs.create_cluster(clusterName="a b")


def test_a_cluster_takes_the_capacity_providers_of_fargate_only(fargate: Fargate) -> None:
    with pytest.raises(ClientError, match="The specified capacity provider mine is not available"):
        fargate.ecs.put_cluster_capacity_providers(
            cluster=fargate.name, capacityProviders=["mine"], defaultCapacityProviderStrategy=[]
        )
