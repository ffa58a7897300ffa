"""A task's record: how it begins, and how each state changes it.

Source: Amazon ECS Developer Guide, "Amazon ECS task lifecycle" and "Amazon ECS stopped task error messages"; Amazon ECS
API Reference, Task (``version`` counts the changes).
"""

from __future__ import annotations

import time
import uuid

from ministack.core.responses import get_region

from localcloud.emulator.ecs import fargate
from localcloud.emulator.ecs.requests import Wanted, fingerprint
from localcloud.emulator.ecs.state import Record, arn

EXITED = "EssentialContainerExited"
FAILED_TO_START = "TaskFailedToStart"
USER = "UserInitiated"
SPOT = "SpotInterruption"
NOTICE = "TerminationNotice"

REASONS = {
    EXITED: "Essential container in task exited",
    USER: "Task stopped by user",
    SPOT: "Your Spot Task was interrupted.",
    NOTICE: "The embedded cloud ended while the task ran.",
}
"""What ``stoppedReason`` says if nothing else is known."""

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


def new(request: Record, wanted: Wanted, provider: str) -> Record:
    """Return the record of a task that is PROVISIONING.

    Args:
        request: The RunTask.
        wanted: What it asks for.
        provider: The task's capacity provider.
    """
    cluster, container = wanted.cluster["clusterName"], wanted.container
    task_id = uuid.uuid4().hex
    task_arn = arn("task", f"{cluster}/{task_id}")
    subnet = request["networkConfiguration"]["awsvpcConfiguration"]["subnets"][0]
    storage = wanted.definition.get("ephemeralStorage", {"sizeInGiB": 20})
    limits = {**container, **wanted.override}
    return {
        "taskArn": task_arn,
        "clusterArn": wanted.cluster["clusterArn"],
        "taskDefinitionArn": wanted.definition["taskDefinitionArn"],
        "group": request.get("group", f"family:{wanted.definition['family']}"),
        "launchType": "FARGATE",
        **({"capacityProviderName": provider} if wanted.uses_strategy else {}),
        **({"startedBy": request["startedBy"]} if "startedBy" in request else {}),
        "platformVersion": fargate.PLATFORM_VERSION,
        "platformFamily": "Linux",
        "cpu": str(wanted.size.cpu),
        "memory": str(wanted.size.memory),
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **request.get("overrides", {})},
        "desiredStatus": "RUNNING",
        "lastStatus": "PROVISIONING",
        "version": 1,
        "createdAt": time.time(),
        "availabilityZone": f"{get_region()}a",
        "enableExecuteCommand": False,
        "healthStatus": "UNKNOWN",
        "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
        "attachments": [
            {
                "id": str(uuid.uuid4()),
                "type": "ElasticNetworkInterface",
                "status": "ATTACHED",
                "details": [
                    {"name": "subnetId", "value": subnet},
                    {"name": "privateIPv4Address", "value": "127.0.0.1"},
                ],
            }
        ],
        "ephemeralStorage": storage,
        "fargateEphemeralStorage": storage,
        "containers": [
            {
                "containerArn": arn("container", f"{cluster}/{task_id}/{uuid.uuid4()}"),
                "taskArn": task_arn,
                "name": container["name"],
                "image": container["image"],
                "lastStatus": "PENDING",
                "healthStatus": "UNKNOWN",
                "networkInterfaces": [],
                "cpu": str(limits["cpu"]),
                **{name: str(limits[name]) for name in ("memory", "memoryReservation") if name in limits},
            }
        ],
        "_client_token": request.get("clientToken"),
        "_request": fingerprint(request),
    }


def enter(task: Record, state: str, **times: float) -> None:
    """Record that the task is in another state.

    Args:
        task: The record.
        state: The state.
        times: Times that the state has set, such as ``startedAt``, in seconds since the epoch.
    """
    task["lastStatus"] = state
    task["version"] += 1
    task.update(times)


def start(task: Record, runtime_id: str) -> None:
    """Record that the task's container runs.

    Args:
        task: The record.
        runtime_id: What identifies the container.
    """
    now = time.time()
    task["containers"][0] |= {"lastStatus": "RUNNING", "runtimeId": runtime_id}
    enter(task, "RUNNING", startedAt=now, pullStoppedAt=now)
    task |= {"connectivity": "CONNECTED", "connectivityAt": now}


def ask_to_stop(task: Record, code: str, reason: str | None = None) -> None:
    """Record that the task has to stop, and why; only the first cause counts.

    Args:
        task: The record.
        code: The ``stopCode``.
        reason: The ``stoppedReason``; None for the one of the code.
    """
    if task["desiredStatus"] == "STOPPED":
        return
    task["desiredStatus"] = "STOPPED"
    task |= {"stopCode": code, "stoppedReason": reason or REASONS[code], "stoppingAt": time.time()}
    task["version"] += 1


def end(task: Record, exit_code: int | None, reason: str | None) -> None:
    """Record that the container has ended, or never ran, and the task is DEPROVISIONING.

    Args:
        task: The record of a task that has to stop.
        exit_code: The container's; None if it never ran.
        reason: The container's reason; None if there is none to tell.
    """
    container = task["containers"][0]
    container["lastStatus"] = "STOPPED"
    container |= {name: each for name, each in (("exitCode", exit_code), ("reason", reason)) if each is not None}
    enter(task, "DEPROVISIONING", executionStoppedAt=time.time())
    task["attachments"][0]["status"] = "DELETED"


def stop_with_cloud(task: Record) -> None:
    """Record that a task has stopped because its cloud ended, and nothing is known of its end."""
    ask_to_stop(task, NOTICE)
    if "executionStoppedAt" not in task:
        end(task, None, REASONS[NOTICE])
    enter(task, "STOPPED", stoppedAt=time.time())
