"""What RunTask, ListTasks and DescribeTasks take and refuse."""

from __future__ import annotations

from collections import Counter
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localcloud.testing.clouds import Cloud
from localcloud.testing.fargate import CONTAINER, NETWORK, Fargate

BOTH = [{"capacityProvider": "FARGATE", "base": 2, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 3}]
SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
NO_CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


def refused(fargate: Fargate, request: dict[str, Any], **members: Any) -> str:
    """Return the code and message with which a RunTask is refused; a member of None is left out."""
    changed = {name: value for name, value in {**request, **members}.items() if value is not None}
    with pytest.raises(ClientError) as error:
        fargate.ecs.run_task(**changed)
    answer = error.value.response["Error"]
    return f"{answer['Code']}: {answer['Message']}"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"cluster": "none"}, "ClusterNotFoundException: Cluster not found."),
        ({"taskDefinition": "none"}, "ClientException: TaskDefinition not found."),
        ({"taskDefinition": "none:3"}, "ClientException: TaskDefinition not found."),
        (
            {"networkConfiguration": None},
            "InvalidParameterException: Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ),
        (
            {"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}},
            "InvalidParameterException: subnets can not be empty.",
        ),
        ({"launchType": "EC2"}, "InvalidParameterException: No Container Instances were found in your cluster."),
        ({"launchType": "EXTERNAL"}, "InvalidParameterException: No Container Instances were found in your cluster."),
        ({"launchType": None}, "InvalidParameterException: No Container Instances were found in your cluster."),
        (
            {"capacityProviderStrategy": SPOT},
            "InvalidParameterException: Specifying both a launch type and capacity provider strategy is not supported. "
            "Remove one and try again.",
        ),
        (
            {"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "other"}]},
            "InvalidParameterException: The specified capacity provider strategy cannot contain a capacity provider "
            "that is not associated with the cluster. Associate the capacity provider with the cluster or specify a "
            "valid capacity provider and try again.",
        ),
        (
            {
                "launchType": None,
                "capacityProviderStrategy": [{"capacityProvider": each["capacityProvider"]} for each in BOTH],
            },
            "InvalidParameterException: At least one capacity provider of the strategy must have a weight greater than "
            "zero.",
        ),
        ({"platformVersion": "9"}, "PlatformUnknownException: The specified platform does not exist."),
        ({"count": 11}, "InvalidParameterException: Count must be 1 to 10."),
        ({"count": 0}, "InvalidParameterException: Count must be 1 to 10."),
        (
            {"startedBy": "a b"},
            "InvalidParameterException: startedBy must have at most 128 letters, numbers, hyphens, slashes and "
            "underscores.",
        ),
        (
            {"overrides": {"containerOverrides": [{"name": "side", "command": ["x"]}]}},
            "InvalidParameterException: Override for container named side is not a container in the TaskDefinition.",
        ),
        ({"tags": [{"key": "a"}, {"key": "a"}]}, "InvalidParameterException: Duplicate tag keys found."),
        (
            {"overrides": {"cpu": "300"}},
            "ClientException: No Fargate configuration exists for given values: 300 CPU, 512 memory. See the "
            "Amazon ECS documentation for the valid values.",
        ),
        (
            {"overrides": {"memory": "4 GB"}},
            "ClientException: No Fargate configuration exists for given values: 256 CPU, 4096 memory. See the "
            "Amazon ECS documentation for the valid values.",
        ),
        (
            {"overrides": {"containerOverrides": [{"name": CONTAINER, "memory": 600}]}},
            f"ClientException: The 'memory' setting for container '{CONTAINER}' is greater than for the task.",
        ),
        (
            {"overrides": {"containerOverrides": [{"name": CONTAINER, "command": ["x" * 8192]}]}},
            "InvalidParameterException: Container Overrides length must be at most 8192",
        ),
        (
            {"overrides": {"taskRoleArn": "arn:aws:iam::000000000000:role/none"}},
            "ClientException: ECS was unable to assume the role 'arn:aws:iam::000000000000:role/none' that was "
            "provided for this task. Please verify that the role being passed has the proper trust "
            "relationship and permissions and that your IAM user has permissions to pass this role.",
        ),
        (
            {"tags": [{"key": "aws:own", "value": ""}]},
            "ValidationException: 1 validation error detected: Value 'aws:own' at 'tags.1.member.key' failed to "
            "satisfy constraint: aws: prefixed tag key names are not allowed for external use",
        ),
        (
            {"launchType": "SPOT"},
            "ValidationException: 1 validation error detected: Value 'SPOT' at 'launchType' failed to satisfy "
            "constraint: Member must satisfy enum value set: [EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES]",
        ),
    ],
    ids=lambda each: str(each)[:50] if isinstance(each, dict) else "",
)
def test_a_run_that_ecs_refuses_is_refused(fargate: Fargate, members: dict[str, Any], message: str) -> None:
    request = fargate.request(fargate.register("print(1)"))
    assert refused(fargate, request, **members) == message
    assert fargate.ecs.list_tasks(cluster=fargate.name)["taskArns"] == []


def test_an_inactive_definition_does_not_run(fargate: Fargate) -> None:
    definition = fargate.register("print(1)")
    fargate.ecs.deregister_task_definition(taskDefinition=definition)
    assert refused(fargate, fargate.request(definition)) == "ClientException: TaskDefinition is inactive"


def test_a_definition_of_another_compatibility_does_not_run(fargate: Fargate) -> None:
    other = fargate.definition("print(1)") | {"requiresCompatibilities": ["EC2"]}
    fargate.ecs.register_task_definition(**other)
    message = "InvalidParameterException: Task definition does not support launch_type FARGATE."
    assert refused(fargate, fargate.request(fargate.name)) == message


def test_the_newest_active_revision_of_a_family_runs(fargate: Fargate) -> None:
    first, second, third = (fargate.register("print(1)") for _ in range(3))
    fargate.ecs.deregister_task_definition(taskDefinition=third)
    assert fargate.task(fargate.run(fargate.name))["taskDefinitionArn"] == second
    assert fargate.task(fargate.run(f"{fargate.name}:1"))["taskDefinitionArn"] == first


def test_a_strategy_spreads_tasks_by_base_and_weight(fargate: Fargate) -> None:
    request = fargate.request(fargate.register("print(1)"), capacityProviderStrategy=BOTH, count=10)
    tasks = fargate.ecs.run_task(**request)["tasks"]
    assert Counter(task["capacityProviderName"] for task in tasks) == {"FARGATE": 4, "FARGATE_SPOT": 6}
    assert {task["launchType"] for task in tasks} == {"FARGATE"}


def test_the_default_strategy_of_a_cluster_counts_without_a_launch_type(fargate: Fargate) -> None:
    fargate.ecs.put_cluster_capacity_providers(
        cluster=fargate.name, capacityProviders=["FARGATE_SPOT"], defaultCapacityProviderStrategy=SPOT
    )
    request = fargate.request(fargate.register("print(1)"))
    del request["launchType"]
    assert fargate.ecs.run_task(**request)["tasks"][0]["capacityProviderName"] == "FARGATE_SPOT"
    with pytest.raises(ClientError, match="not associated with"):
        fargate.run(fargate.name, capacityProviderStrategy=BOTH)


def test_the_same_token_starts_a_task_once(fargate: Fargate) -> None:
    definition = fargate.register("print(1)")
    first = fargate.run(definition, clientToken="one", startedBy="me")
    assert fargate.run(definition, clientToken="one", startedBy="me") == first
    fargate.stopped(first)
    assert fargate.run(definition, clientToken="one", startedBy="me") == first, "also when it has ended"
    assert fargate.run(definition, clientToken="two", startedBy="me") != first
    with pytest.raises(fargate.ecs.exceptions.ConflictException, match="already in use") as conflict:
        fargate.run(definition, clientToken="one", startedBy="you")
    assert conflict.value.response["resourceIds"] == [first]


def test_no_capacity_is_a_failure_and_not_an_error(fargate: Fargate) -> None:
    definition = fargate.register("print(1)")
    cluster = fargate.ecs.describe_clusters(clusters=[fargate.name])["clusters"][0]["clusterArn"]

    def ask_for(fault: str) -> None:
        fargate.ecs.tag_resource(resourceArn=cluster, tags=[{"key": "localcloud:run-task", "value": fault}])

    ask_for("no-capacity")
    answer = fargate.ecs.run_task(**fargate.request(definition, count=2))
    assert (answer["tasks"], answer["failures"]) == ([], [{"reason": NO_CAPACITY}] * 2)
    ask_for("no-spot-capacity")
    answer = fargate.ecs.run_task(**fargate.request(definition, capacityProviderStrategy=BOTH, count=3))
    assert [task["capacityProviderName"] for task in answer["tasks"]] == ["FARGATE", "FARGATE"]
    assert answer["failures"] == [{"reason": NO_CAPACITY}]
    ask_for("no-spot-in-region")
    assert fargate.run(definition)
    assert refused(fargate, fargate.request(definition, capacityProviderStrategy=SPOT)) == (
        "InvalidParameterException: The capacity provider FARGATE_SPOT is not supported in this region."
    )
    ask_for("capacity-exception")
    assert refused(fargate, fargate.request(definition)) == f"ClientException: {NO_CAPACITY}"
    ask_for("vcpu-limit")
    assert refused(fargate, fargate.request(definition)) == (
        "ClientException: You've reached the limit on the number of vCPUs you can run concurrently"
    )
    ask_for("throttling")
    assert refused(fargate, fargate.request(definition)) == "ThrottlingException: Rate exceeded"
    ask_for("other")
    assert "has to be one of no-capacity" in refused(fargate, fargate.request(definition))
    fargate.ecs.untag_resource(resourceArn=cluster, tagKeys=["localcloud:run-task"])
    assert fargate.run(definition)


def test_tasks_are_listed_by_starter_family_and_status(fargate: Fargate) -> None:
    sleeps = fargate.register("import time; time.sleep(600)")
    ended = fargate.run(fargate.register("print(1)"), startedBy="me")
    mine, other = (fargate.run(sleeps, startedBy=starter) for starter in ("me", "you"))
    fargate.stopped(ended)

    def listed(**filters: Any) -> set[str]:
        return set(fargate.ecs.list_tasks(cluster=fargate.name, **filters)["taskArns"])

    assert listed() == listed(desiredStatus="RUNNING") == {mine, other}
    assert listed(startedBy="me") == listed(startedBy="me", desiredStatus="RUNNING") == {mine}
    assert listed(startedBy="me", desiredStatus="STOPPED") == {ended}
    assert listed(family=fargate.name) == {mine, other}
    assert listed(family="other") == set()
    assert listed(desiredStatus="PENDING") == set()
    with pytest.raises(ClientError, match="If startedBy is specified, it must be the only filter"):
        listed(startedBy="me", family=fargate.name)
    page = fargate.ecs.list_tasks(cluster=fargate.name, maxResults=1)
    rest = fargate.ecs.list_tasks(cluster=fargate.name, maxResults=1, nextToken=page["nextToken"])
    assert {*page["taskArns"], *rest["taskArns"]} == {mine, other}
    assert "nextToken" not in rest
    for arn in (mine, other):
        fargate.ecs.stop_task(cluster=fargate.name, task=arn)


def test_tasks_are_described_by_id_and_arn_with_their_tags_if_asked(fargate: Fargate) -> None:
    fargate.ecs.register_task_definition(
        **fargate.definition("print(1)"), tags=[{"key": "team", "value": "a"}, {"key": "of", "value": "definition"}]
    )
    own = [{"key": "of", "value": "task"}]
    arn = fargate.run(fargate.name, tags=own, propagateTags="TASK_DEFINITION", enableECSManagedTags=True)
    missing = "0" * 32
    answer = fargate.ecs.describe_tasks(cluster=fargate.name, tasks=[arn.rpartition("/")[2], missing], include=["TAGS"])
    assert [task["taskArn"] for task in answer["tasks"]] == [arn]
    assert answer["failures"] == [{"arn": arn.rpartition("/")[0] + "/" + missing, "reason": "MISSING"}]
    tags = {tag["key"]: tag["value"] for tag in answer["tasks"][0]["tags"]}
    assert tags == {"team": "a", "of": "task", "aws:ecs:clusterName": fargate.name}
    assert "tags" not in fargate.task(arn)
    fargate.ecs.untag_resource(resourceArn=arn, tagKeys=["of"])
    assert {tag["key"] for tag in fargate.ecs.list_tags_for_resource(resourceArn=arn)["tags"]} == {
        "team",
        "aws:ecs:clusterName",
    }


def test_what_this_cloud_does_not_have_is_refused(fargate: Fargate) -> None:
    with pytest.raises(ClientError, match="This cloud has no operation 'CreateService'"):
        fargate.ecs.create_service(cluster=fargate.name, serviceName="a", taskDefinition="a")


def test_regions_are_apart(fargate: Fargate, cloud: Cloud) -> None:
    there: Any = boto3.client(
        "ecs",
        endpoint_url=cloud.endpoint_url,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    cluster = there.create_cluster(clusterName=fargate.name)["cluster"]
    assert cluster["clusterArn"] == f"arn:aws:ecs:eu-central-1:000000000000:cluster/{fargate.name}"
    script = "import os; assert os.environ['AWS_REGION'] == 'eu-central-1'"
    there.register_task_definition(**fargate.definition(script))
    arn = there.run_task(
        cluster=fargate.name, taskDefinition=fargate.name, launchType="FARGATE", networkConfiguration=NETWORK
    )["tasks"][0]["taskArn"]
    there.get_waiter("tasks_stopped").wait(cluster=fargate.name, tasks=[arn], WaiterConfig={"Delay": 1})
    assert there.describe_tasks(cluster=fargate.name, tasks=[arn])["tasks"][0]["containers"][0]["exitCode"] == 0
    assert fargate.ecs.list_tasks(cluster=fargate.name, desiredStatus="STOPPED")["taskArns"] == []
