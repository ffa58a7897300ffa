"""Task definitions: registered with Fargate's checks, found by family and revision, deregistered.

Source: Amazon ECS API Reference, RegisterTaskDefinition and its neighbours; Amazon ECS Developer Guide, "Task
definition parameters for Fargate". Messages that AWS doesn't document are those that its users report.
"""

from __future__ import annotations

import re
import time
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import ecs

from localcloud.emulator.ecs import fargate
from localcloud.emulator.ecs.state import LOCK, Record, arn, client_error, page, require_valid_tags, shown, tags

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+|[\w+=,.@-]{1,64}")
_ECR = re.compile(r"\d{12}\.dkr\.ecr[.-].*")
_UNSUPPORTED = (
    *("secrets", "environmentFiles", "mountPoints", "volumesFrom", "dependsOn", "healthCheck", "restartPolicy"),
    *("firelensConfiguration", "repositoryCredentials", "credentialSpecs"),
)
_LOG_OPTIONS = ("awslogs-group", "awslogs-region", "awslogs-stream-prefix")
_LONGEST_STOP = 120  # seconds


def register(request: Record) -> Record:
    """Carry out RegisterTaskDefinition."""
    require_valid_tags(request.get("tags", []))
    _require_name("Family", request["family"])
    container = _container(request)
    if "FARGATE" in request.get("requiresCompatibilities", []):
        _require_fargate(request, container)
        of_task = fargate.size(request["cpu"], request["memory"])
        require_smaller(container, of_task)
        request = {**request, "cpu": str(of_task.cpu), "memory": str(of_task.memory)}
    for role in ("taskRoleArn", "executionRoleArn"):
        if not _ROLE.fullmatch(request.get(role) or "none"):
            raise client_error("Role is not valid")
    with LOCK:
        return _insert(request, container)


def describe(request: Record) -> Record:
    """Carry out DescribeTaskDefinition."""
    with LOCK:
        found = find(request["taskDefinition"])
        if found is None:
            raise client_error("Unable to describe task definition.")
        return {
            "taskDefinition": shown(found),
            **({"tags": tags(found["taskDefinitionArn"])} if "TAGS" in request.get("include", []) else {}),
        }


def deregister(request: Record) -> Record:
    """Carry out DeregisterTaskDefinition."""
    with LOCK:
        found = find(request["taskDefinition"])
        if found is None or ":" not in request["taskDefinition"]:
            raise client_error("Unable to deregister task definition: name its family and revision, or its ARN.")
        found["status"] = "INACTIVE"
        found.setdefault("deregisteredAt", time.time())
        return {"taskDefinition": shown(found)}


def delete(request: Record) -> Record:
    """Carry out DeleteTaskDefinitions, which removes a definition at once if it is inactive."""
    deleted, failures = [], []
    with LOCK:
        for reference in request["taskDefinitions"]:
            found = find(reference)
            if found is None or found["status"] != "INACTIVE":
                reason = "MISSING" if found is None else "The specified task definition is still in ACTIVE status."
                failures.append({"arn": reference, "reason": reason})
            else:
                deleted.append({**shown(found), "status": "DELETE_IN_PROGRESS", "deleteRequestedAt": time.time()})
                ecs._task_defs.pop(_key(found))
                ecs._tags.pop(found["taskDefinitionArn"], None)
    return {"taskDefinitions": deleted, "failures": failures}


def list_revisions(request: Record) -> Record:
    """Carry out ListTaskDefinitions."""
    family, status = request.get("familyPrefix"), request.get("status", "ACTIVE")
    with LOCK:
        found = [
            each for each in ecs._task_defs.values() if each["status"] == status and family in (None, each["family"])
        ]
    found.sort(key=lambda each: (each["family"], each["revision"]), reverse=request.get("sort") == "DESC")
    return page([each["taskDefinitionArn"] for each in found], request, "taskDefinitionArns")


def list_families(request: Record) -> Record:
    """Carry out ListTaskDefinitionFamilies."""
    prefix, status = request.get("familyPrefix", ""), request.get("status", "ALL")
    with LOCK:
        active = {each["family"] for each in ecs._task_defs.values() if each["status"] == "ACTIVE"}
        known = {each["family"] for each in ecs._task_defs.values()}
    families = {"ALL": known, "ACTIVE": active, "INACTIVE": known - active}[status]
    return page(sorted(each for each in families if each.startswith(prefix)), request, "families")


def find(reference: str) -> Record | None:
    """Return a task definition; None if there is none.

    Args:
        reference: A family, which means its newest active revision, a family and revision, or an ARN.
    """
    if reference.startswith("arn:") or ":" in reference:
        exact: Record | None = ecs._task_defs.get(ecs._resolve_td_key(reference))
        return exact
    revisions: list[Record] = [
        each for each in ecs._task_defs.values() if each["family"] == reference and each["status"] == "ACTIVE"
    ]
    return max(revisions, key=lambda each: each["revision"], default=None)


def _insert(request: Record, container: Record) -> Record:
    family = request["family"]
    revision: int = ecs._next_task_def_revision(family)
    compatible = request.get("requiresCompatibilities", [])
    definition: Record = {
        "volumes": [],
        "placementConstraints": [],
        "networkMode": "bridge",
        **{name: value for name, value in request.items() if name != "tags"},
        "taskDefinitionArn": arn("task-definition", f"{family}:{revision}"),
        "revision": revision,
        "status": "ACTIVE",
        "containerDefinitions": [container],
        "compatibilities": ["EC2", *(["FARGATE"] if "FARGATE" in compatible else [])],
        "registeredAt": time.time(),
        "registeredBy": f"arn:aws:iam::{get_account_id()}:root",
    }
    ecs._task_defs[_key(definition)] = definition
    new_tags = request.get("tags", [])
    ecs._tags[definition["taskDefinitionArn"]] = list(new_tags)
    return {"taskDefinition": shown(definition), "tags": new_tags}


def _key(definition: Record) -> str:
    return f"{definition['family']}:{definition['revision']}"


def _container(request: Record) -> Record:
    """Return the only container, with the members that ECS adds."""
    containers: list[Record] = request["containerDefinitions"]
    if not containers:
        raise client_error("Container list cannot be empty.")
    if len(containers) > 1 or request.get("volumes") or request.get("proxyConfiguration"):
        raise client_error("This cloud runs tasks of one container, without volumes and proxies.")
    container = containers[0]
    _require_name("Container.name", container.get("name", ""))
    if not container.get("image"):
        raise client_error("Container.image should not be null or empty.")
    for member in _UNSUPPORTED:
        if container.get(member):
            raise client_error(f"Container {container['name']}: this cloud has no {member}.")
    if container.get("essential") is False:
        raise client_error("A task definition must have at least one essential container.")
    _require_logs(container)
    added: dict[str, Any] = {"cpu": 0, "essential": True}
    added |= {name: [] for name in ("portMappings", "environment", "mountPoints", "volumesFrom", "systemControls")}
    return {**added, **container}


def _require_name(what: str, name: str) -> None:
    if not name:
        raise client_error(f"{what} should not be null or empty.")
    if not _NAME.fullmatch(name):
        raise client_error(f"{what} contains invalid characters.")


def _require_logs(container: Record) -> None:
    logs = container.get("logConfiguration")
    if logs is None:
        return
    if logs["logDriver"] != "awslogs":
        raise client_error(f"Container {container['name']}: this cloud has the log driver awslogs only.")
    missing = [option for option in _LOG_OPTIONS if not logs.get("options", {}).get(option)]
    if missing:
        raise client_error(f"Log driver awslogs requires options: {', '.join(missing)}.")


def _require_fargate(request: Record, container: Record) -> None:
    if request.get("networkMode") != "awsvpc":
        raise client_error("Fargate only supports network mode ‘awsvpc’.")  # noqa: RUF001 AWS's quotes
    for member in ("cpu", "memory"):
        if not request.get(member):
            raise client_error(f"Fargate requires that '{member}' be defined at the task level.")
    needs = [
        *(["log driver awslogs"] if "logConfiguration" in container else []),
        *(["ECR images"] if _ECR.match(container["image"]) else []),
    ]
    if needs and not request.get("executionRoleArn"):
        raise client_error(f"Fargate requires task definition to have execution role ARN to support {needs[0]}.")
    if not 0 <= container.get("stopTimeout", 0) <= _LONGEST_STOP:
        raise client_error(f"The stopTimeout of container {container['name']} must be 0 to {_LONGEST_STOP} seconds.")
    if not 21 <= request.get("ephemeralStorage", {}).get("sizeInGiB", 21) <= 200:
        raise client_error("The ephemeral storage of a task on Fargate must be 21 to 200 GiB.")


def require_smaller(container: Record, of_task: fargate.Size) -> None:
    """Require that a container's own limits fit into its task's.

    Args:
        container: A container's definition, or its override.
        of_task: The size of its task.

    Raises:
        ServiceError: ClientException.
    """
    for member, most in (("cpu", of_task.cpu), ("memory", of_task.memory), ("memoryReservation", of_task.memory)):
        if container.get(member, 0) > most:
            raise client_error(
                f"The '{member}' setting for container '{container['name']}' is greater than for the task."
            )
