"""RunTask, StopTask, DescribeTasks and ListTasks.

Source: Amazon ECS API Reference.
"""

from __future__ import annotations

import itertools
import os
import time

from ministack.services import ecs

from localcloud.emulator.ecs import faults, requests, status
from localcloud.emulator.ecs.state import (
    LOCK,
    Record,
    cluster,
    invalid,
    page,
    shown,
    tags,
    tasks_of,
)
from localcloud.emulator.ecs.task_run import Platform, TaskRun

_REMEMBERED_SECONDS = 3600.0  # a stopped task
_MOST_DESCRIBED = 100
_FILTERS = ("containerInstance", "family", "serviceName", "launchType")


class Tasks:
    """The tasks of the cloud.

    Args:
        platform: What all tasks share.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._runs: dict[str, TaskRun] = {}
        self._started = itertools.count()

    def run(self, request: Record) -> Record:
        """Carry out RunTask."""
        with LOCK:
            self._forget_old()
            if earlier := requests.same_token(request, cluster(request.get("cluster"))):
                return {"tasks": [shown(task) for task in earlier], "failures": []}
            wanted = requests.checked(request)
            started, failures = [], []
            for provider in wanted.providers:
                if failure := faults.failure(wanted.cluster, provider):
                    failures.append(failure)
                else:
                    started.append(self._start(request, wanted, provider))
            return {"tasks": started, "failures": failures}

    def stop(self, request: Record) -> Record:
        """Carry out StopTask."""
        with LOCK:
            task = _find(request["task"], cluster(request.get("cluster")))
            if task is None:
                raise invalid("The referenced task was not found.")
            self._stop(task, status.USER, request.get("reason"))
            return {"task": shown(task)}

    def describe(self, request: Record) -> Record:
        """Carry out DescribeTasks."""
        with LOCK:
            self._forget_old()
            of_cluster = cluster(request.get("cluster"))
            if not 1 <= len(request["tasks"]) <= _MOST_DESCRIBED:
                raise invalid(f"Tasks must have 1 to {_MOST_DESCRIBED} entries.")
            found, failures = [], []
            for reference in request["tasks"]:
                task = _find(reference, of_cluster)
                if task is None:
                    failures.append({"arn": _arn(reference, of_cluster), "reason": "MISSING"})
                else:
                    found.append({**shown(task), "tags": tags(task["taskArn"])})
        if "TAGS" not in request.get("include", []):
            found = [{name: value for name, value in task.items() if name != "tags"} for task in found]
        return {"tasks": found, "failures": failures}

    def list(self, request: Record) -> Record:
        """Carry out ListTasks."""
        if "startedBy" in request and any(each in request for each in _FILTERS):
            raise invalid("If startedBy is specified, it must be the only filter.")
        with LOCK:
            self._forget_old()
            found = [
                task["taskArn"] for task in tasks_of(cluster(request.get("cluster"))) if _is_asked_for(task, request)
            ]
        return page(found, request, "taskArns")

    def interrupt(self, task: Record) -> None:
        """Interrupt a task on Fargate Spot. The caller holds the lock of the records.

        Raises:
            ServiceError: InvalidParameterException, for another task.
        """
        if task.get("capacityProviderName") != "FARGATE_SPOT":
            raise invalid(f"Only a task on FARGATE_SPOT can be interrupted, and {task['taskArn']} is not.")
        self._stop(task, status.SPOT, None)

    def _start(self, request: Record, wanted: requests.Wanted, provider: str) -> Record:
        task = status.new(request, wanted, provider)
        ecs._tasks[task["taskArn"]] = task
        ecs._tags[task["taskArn"]] = _tags_of(request, wanted)
        self._runs[task["taskArn"]] = run = TaskRun(self._platform, task, wanted, self._cores(wanted.size.cores))
        run.start()
        return {**shown(task), "tags": tags(task["taskArn"])}

    def _stop(self, task: Record, code: str, reason: str | None) -> None:
        run = self._runs.get(task["taskArn"])
        if task["lastStatus"] == "STOPPED" or run is None:
            return
        status.ask_to_stop(task, code, reason)
        run.stop()

    def _cores(self, wanted: int) -> tuple[int, ...]:
        """Return the cores of a task, others than those of the task before; none if it may use all."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if wanted >= len(cores):
            return ()
        first = next(self._started)
        return tuple(cores[(first + place) % len(cores)] for place in range(wanted))

    def _forget_old(self) -> None:
        """Forget the tasks of this account and region that have been stopped for long."""
        for arn, task in ecs._tasks.items():
            if task.get("stoppedAt", float("inf")) < time.time() - _REMEMBERED_SECONDS:
                ecs._tasks.pop(arn)
                ecs._tags.pop(arn, None)
                self._runs.pop(arn, None)


def _tags_of(request: Record, wanted: requests.Wanted) -> list[dict[str, str]]:
    propagated = (
        tags(wanted.definition["taskDefinitionArn"]) if request.get("propagateTags") == "TASK_DEFINITION" else []
    )
    own = {tag["key"]: tag.get("value", "") for tag in (*propagated, *request.get("tags", []))}
    managed = {"aws:ecs:clusterName": wanted.cluster["clusterName"]} if request.get("enableECSManagedTags") else {}
    return [{"key": key, "value": value} for key, value in {**own, **managed}.items()]


def _find(reference: str, of_cluster: Record) -> Record | None:
    """Return a task of the cluster by its id or ARN; None if there is none."""
    arn = _arn(reference, of_cluster)
    named = arn.rpartition("/")[0].rpartition("/")[2]
    if named != of_cluster["clusterName"]:
        raise invalid(f"Invalid identifier: Identifier is for {named}. Your cluster is {of_cluster['clusterName']}")
    found: Record | None = ecs._tasks.get(arn)
    return found


def _arn(reference: str, of_cluster: Record) -> str:
    return reference if reference.startswith("arn:") else f"{_prefix(of_cluster)}/{reference}"


def _prefix(of_cluster: Record) -> str:
    prefix: str = of_cluster["clusterArn"].replace(":cluster/", ":task/")
    return prefix


def _is_asked_for(task: Record, request: Record) -> bool:
    family = task["taskDefinitionArn"].rpartition("/")[2].partition(":")[0]
    return (
        task["desiredStatus"] == request.get("desiredStatus", "RUNNING")
        and request.get("family", family) == family
        and request.get("startedBy", task.get("startedBy")) == task.get("startedBy")
        and request.get("launchType", task["launchType"]) == task["launchType"]
        and "containerInstance" not in request
        and request.get("serviceName") is None
    )
