"""The emulator's records of ECS, and what the modules here need to find in them.

The threads of tasks change records too, so every reader and writer holds :data:`LOCK`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import ecs

from localcloud.service_model.errors import ServiceError

LOCK = threading.RLock()

Record = dict[str, Any]
"""A record of the emulator's. Members that start with an underscore are not shown in answers."""

Tag = dict[str, str]

_MOST_TAGS = 50


def arn(kind: str, path: str) -> str:
    """Return an ARN of the request's account and region, such as ``arn:aws:ecs:us-east-1:…:cluster/orders``."""
    return f"arn:aws:ecs:{get_region()}:{get_account_id()}:{kind}/{path}"


def cluster(reference: str | None) -> Record:
    """Return an active cluster.

    Args:
        reference: Its name or ARN; None for the cluster ``default``.

    Raises:
        ServiceError: ClusterNotFoundException.
    """
    name = ecs._resolve_cluster_name(reference)
    found: Record | None = ecs._clusters.get(name) if name else None
    if found is None or found["status"] != "ACTIVE":
        raise ServiceError("ClusterNotFoundException", "Cluster not found.")
    return found


def tasks_of(of_cluster: Record) -> list[Record]:
    """Return the tasks of a cluster, in the order of their creation."""
    return [task for task in ecs._tasks.values() if task["clusterArn"] == of_cluster["clusterArn"]]


def tags(of: str) -> list[Tag]:
    """Return the tags of an ARN."""
    return list(ecs._tags.get(of, []))


def require_valid_tags(new: Sequence[Tag]) -> None:
    """Require that a user may set these tags.

    Raises:
        ServiceError: InvalidParameterException, for a missing or repeated key, or too many tags.
    """
    keys = [tag.get("key", "") for tag in new]
    if any(not key for key in keys):
        raise invalid("Tag key cannot be null or empty.")
    if len(set(keys)) < len(keys):
        raise invalid("Duplicate tag keys found.")
    if len(keys) > _MOST_TAGS:
        raise invalid(f"The maximum number of tags is {_MOST_TAGS}.")


def shown(record: Record) -> Record:
    """Return a copy of a record as answers have it."""
    view: Record = ecs._sanitize(record)
    return view


def page(found: Sequence[str], request: Record, member: str) -> Record:
    """Return a page of a list. Its token is the place of the next one.

    Args:
        found: All that the request asks for.
        request: May have ``maxResults`` and ``nextToken``.
        member: The name of the list in the answer.

    Raises:
        ServiceError: InvalidParameterException, for a token that no page had, or a bad size.
    """
    token, most = request.get("nextToken", "0"), request.get("maxResults", 100)
    if not 1 <= most <= 100:
        raise invalid("maxResults must be between 1 and 100.")
    if not re.fullmatch(r"\d{1,9}", token):
        raise invalid("Invalid token.")
    first = int(token)
    last = first + most
    return {member: list(found[first:last]), **({"nextToken": str(last)} if last < len(found) else {})}


def invalid(message: str) -> ServiceError:
    """Return InvalidParameterException."""
    return ServiceError("InvalidParameterException", message)


def client_error(message: str) -> ServiceError:
    """Return ClientException."""
    return ServiceError("ClientException", message)


def keep_records(stop: Callable[[Record], None]) -> None:
    """Save the records while no thread changes them, and stop the tasks of an earlier process when they are loaded.

    Args:
        stop: Records that a task has been stopped because its cloud ended.
    """
    get_state, restore = ecs.get_state, ecs._restore_state

    def get() -> Any:
        with LOCK:
            return get_state()

    def load(saved: Any) -> None:
        with LOCK:
            running = [key for key, task in saved["tasks"]._data.items() if task["lastStatus"] != "STOPPED"]
            restore(saved)
            for key in running:
                stop(ecs._tasks._data[key])

    ecs.get_state, ecs.load_persisted_state = get, load
