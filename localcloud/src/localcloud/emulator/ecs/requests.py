"""RunTask's request: what it asks for, checked as ECS does.

Source: Amazon ECS API Reference, RunTask; Amazon ECS Developer Guide, "Amazon ECS clusters for Fargate". Messages that
AWS doesn't document are those that its users report, or ours.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from ministack.core.responses import get_account_id
from ministack.services import ecs, iam

from localcloud.emulator.ecs import fargate, faults, task_definitions
from localcloud.emulator.ecs.state import Record, client_error, cluster, invalid, require_valid_tags
from localcloud.service_model.errors import ServiceError

_STARTED_BY = re.compile(r"[A-Za-z0-9_/-]{0,128}")
_LARGEST_OVERRIDES = 8192
_MOST_TASKS = 10
_MOST_SUBNETS, _MOST_GROUPS = 16, 5
_PRINCIPAL = "ecs-tasks.amazonaws.com"
_NOT_ASSOCIATED = (
    "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the "
    "cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and try again."
)


@dataclass(frozen=True)
class Wanted:
    """What a valid RunTask asks for.

    Attributes:
        cluster: The cluster's record.
        definition: The task definition's record.
        container: The definition of its only container.
        override: The override of that container; empty if there is none.
        size: The size of each task.
        role: The ARN of the task's role; None if it has none.
        providers: The capacity provider of each task.
        uses_strategy: Whether a strategy chose the providers, and not a launch type.
    """

    cluster: Record
    definition: Record
    container: Record
    override: Record
    size: fargate.Size
    role: str | None
    providers: tuple[str, ...]
    uses_strategy: bool


def checked(request: Record) -> Wanted:
    """Return what a RunTask asks for. The caller holds the lock of the records.

    Args:
        request: Valid by the service model.

    Raises:
        ServiceError: ECS refuses it.
    """
    of_cluster = cluster(request.get("cluster"))
    definition = _definition(request["taskDefinition"])
    _require_plain(request)
    strategy = _strategy(request, of_cluster, definition)
    _require_network(request)
    container = definition["containerDefinitions"][0]
    overrides = request.get("overrides", {})
    override = _override(overrides, container)
    size = fargate.size(overrides.get("cpu", definition["cpu"]), overrides.get("memory", definition["memory"]))
    task_definitions.require_smaller({**container, **override}, size)
    for member in ("taskRoleArn", "executionRoleArn"):
        _require_role(overrides.get(member, definition.get(member)))
    role = overrides.get("taskRoleArn", definition.get("taskRoleArn"))
    providers = _spread(strategy, request.get("count", 1))
    faults.refuse(of_cluster, "FARGATE_SPOT" in providers)
    return Wanted(
        of_cluster, definition, container, override, size, _role_arn(role), providers, "launchType" not in request
    )


def _definition(reference: str) -> Record:
    found = task_definitions.find(reference)
    if found is None:
        raise client_error("TaskDefinition not found.")
    if found["status"] != "ACTIVE":
        raise client_error("TaskDefinition is inactive")
    return found


def _require_plain(request: Record) -> None:
    """Check the members that depend on nothing else."""
    if not 1 <= request.get("count", 1) <= _MOST_TASKS:
        raise invalid(f"Count must be 1 to {_MOST_TASKS}.")
    if not _STARTED_BY.fullmatch(request.get("startedBy", "")):
        raise invalid("startedBy must have at most 128 letters, numbers, hyphens, slashes and underscores.")
    if request.get("platformVersion", "LATEST") not in fargate.PLATFORM_VERSIONS:
        raise ServiceError("PlatformUnknownException", "The specified platform does not exist.")
    if request.get("propagateTags") == "SERVICE":
        raise invalid("SERVICE is not a valid value for propagateTags of RunTask.")
    for member in ("placementConstraints", "placementStrategy"):
        if request.get(member):
            raise invalid(f"{member} is not supported on Fargate.")
    if request.get("enableExecuteCommand") or request.get("volumeConfigurations"):
        raise invalid("This cloud has neither execute command nor volumes.")
    require_valid_tags(request.get("tags", []))


def _strategy(request: Record, of_cluster: Record, definition: Record) -> list[Record]:
    """Return the strategy by which the capacity providers are chosen."""
    launch_type, asked = request.get("launchType"), request.get("capacityProviderStrategy")
    if launch_type and asked:
        raise invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    if launch_type == "FARGATE":
        strategy = [{"capacityProvider": "FARGATE", "weight": 1}]
    elif launch_type is None and (asked or of_cluster["defaultCapacityProviderStrategy"]):
        strategy = asked or of_cluster["defaultCapacityProviderStrategy"]
        if any(item["capacityProvider"] not in of_cluster["capacityProviders"] for item in strategy):
            raise invalid(_NOT_ASSOCIATED)
    else:
        raise invalid("No Container Instances were found in your cluster.")
    if "FARGATE" not in definition["compatibilities"]:
        raise invalid("Task definition does not support launch_type FARGATE.")
    return strategy


def _spread(strategy: list[Record], count: int) -> tuple[str, ...]:
    """Return the provider of each task: the base first, then the provider that is the furthest below its weight."""
    weights = {item["capacityProvider"]: item.get("weight", 0) for item in strategy}
    if len(weights) == 1:
        return tuple(weights) * count
    if not any(weights.values()):
        raise invalid("At least one capacity provider of the strategy must have a weight greater than zero.")
    chosen = [item["capacityProvider"] for item in strategy for _ in range(item.get("base", 0))][:count]
    placed = dict.fromkeys((name for name, weight in weights.items() if weight), 0)
    while len(chosen) < count:
        next_one = min(placed, key=lambda name: (placed[name] + 1) / weights[name])
        placed[next_one] += 1
        chosen.append(next_one)
    return tuple(chosen)


def _require_network(request: Record) -> None:
    """Require what the network mode awsvpc needs, which is the only one on Fargate."""
    network = request.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if network is None:
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if not network["subnets"]:
        raise invalid("subnets can not be empty.")
    if len(network["subnets"]) > _MOST_SUBNETS or len(network.get("securityGroups", [])) > _MOST_GROUPS:
        raise invalid(f"A network may have at most {_MOST_SUBNETS} subnets and {_MOST_GROUPS} security groups.")


def _override(overrides: Record, container: Record) -> Record:
    of_containers: list[Record] = overrides.get("containerOverrides", [])
    if len(json.dumps(overrides, separators=(",", ":"))) > _LARGEST_OVERRIDES:
        raise invalid(f"Container Overrides length must be at most {_LARGEST_OVERRIDES}")
    for override in of_containers:
        if override.get("name") != container["name"]:
            raise invalid(
                f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
            )
        if override.get("environmentFiles") or override.get("resourceRequirements"):
            raise invalid("This cloud has neither environmentFiles nor resourceRequirements.")
    if len(of_containers) > 1:
        raise invalid(f"Container {container['name']} has more than one override.")
    return of_containers[0] if of_containers else {}


def _role_arn(role: str | None) -> str | None:
    return role if not role or role.startswith("arn:") else f"arn:aws:iam::{get_account_id()}:role/{role}"


def _require_role(role: str | None) -> None:
    """Require that a role exists which ECS's tasks may assume."""
    if not role:
        return
    found = iam._roles.get(role.rpartition("/")[2])
    trusted = json.dumps(found["AssumeRolePolicyDocument"]) if found else ""
    if _PRINCIPAL not in trusted:
        raise client_error(
            f"ECS was unable to assume the role '{_role_arn(role)}' that was provided for this task. Please verify "
            "that the role being passed has the proper trust relationship and permissions and that your IAM user has "
            "permissions to pass this role."
        )


def same_token(request: Record, of_cluster: Record) -> list[Record]:
    """Return the tasks that an earlier request with the same ``clientToken`` has started.

    Args:
        request: A RunTask.
        of_cluster: Its cluster.

    Raises:
        ServiceError: ConflictException, if that request was another one.
    """
    token = request.get("clientToken")
    if token is None:
        return []
    earlier = [
        task
        for task in ecs._tasks.values()
        if task["_client_token"] == token and task["clusterArn"] == of_cluster["clusterArn"]
    ]
    if any(task["_request"] != fingerprint(request) for task in earlier):
        raise ServiceError(
            "ConflictException",
            "The RunTask request could not be processed due to conflicts. The provided clientToken is already in use "
            "with a different RunTask request.",
            resourceIds=[task["taskArn"] for task in earlier],
        )
    return earlier


def fingerprint(request: Record) -> str:
    """Return a text that two RunTasks share if they ask for the same."""
    return json.dumps(request, sort_keys=True)
