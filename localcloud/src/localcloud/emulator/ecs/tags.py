"""Tags of clusters, task definitions and tasks.

Source: Amazon ECS API Reference, TagResource and its neighbours.
"""

from __future__ import annotations

from ministack.services import ecs

from localcloud.emulator.ecs import faults
from localcloud.emulator.ecs.state import LOCK, Record, invalid, require_valid_tags, tags
from localcloud.emulator.ecs.tasks import Tasks


class Tags:
    """The operations on tags.

    Args:
        tasks: The tasks, which a tag may interrupt.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def add(self, request: Record) -> Record:
        """Carry out TagResource."""
        arn, new = request["resourceArn"], request["tags"]
        with LOCK:
            _require_resource(arn)
            merged = {tag["key"]: tag for tag in (*tags(arn), *new) if "key" in tag}
            require_valid_tags(new)
            if any(tag["key"] == faults.INTERRUPT for tag in new):
                self._tasks.interrupt(ecs._tasks[arn])
            ecs._tags[arn] = list(merged.values())
        return {}

    def remove(self, request: Record) -> Record:
        """Carry out UntagResource."""
        arn = request["resourceArn"]
        with LOCK:
            _require_resource(arn)
            ecs._tags[arn] = [tag for tag in tags(arn) if tag["key"] not in request["tagKeys"]]
        return {}

    def list(self, request: Record) -> Record:
        """Carry out ListTagsForResource."""
        with LOCK:
            _require_resource(request["resourceArn"])
            return {"tags": tags(request["resourceArn"])}


def _require_resource(arn: str) -> None:
    known = {
        *(each["clusterArn"] for each in ecs._clusters.values()),
        *(each["taskDefinitionArn"] for each in ecs._task_defs.values()),
        *ecs._tasks.keys(),
    }
    if arn not in known:
        raise invalid(f"The specified resource was not found: {arn}")
