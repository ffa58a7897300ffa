"""Clusters, as far as the released emulator does not treat them as ECS does.

Source: Amazon ECS API Reference, CreateCluster, DeleteCluster, PutClusterCapacityProviders.
"""

from __future__ import annotations

import re

from ministack.services import ecs

from localcloud.emulator.ecs.fargate import PROVIDERS
from localcloud.emulator.ecs.state import LOCK, Record, cluster, invalid, require_valid_tags, shown, tasks_of
from localcloud.service_model.errors import ServiceError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")


def create(request: Record) -> Record:
    """Carry out CreateCluster, which returns a cluster that exists as it is."""
    name = request.get("clusterName", "default")
    if not _NAME.fullmatch(name):
        raise invalid(f"Invalid cluster name {name!r}: it has 1 to 255 letters, numbers, underscores and hyphens.")
    require_valid_tags(request.get("tags", []))
    _require_providers(request)
    with LOCK:
        found = ecs._clusters.get(name)
        is_new = found is None or found["status"] != "ACTIVE"
        return {"cluster": shown(ecs._put_cluster(request) if is_new else found)}


def delete(request: Record) -> Record:
    """Carry out DeleteCluster."""
    with LOCK:
        found = cluster(request["cluster"])
        if any(task["lastStatus"] != "STOPPED" for task in tasks_of(found)):
            raise ServiceError("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
        ecs._delete_cluster({"cluster": found["clusterName"]})
        return {"cluster": shown(found)}


def put_capacity_providers(request: Record) -> Record:
    """Carry out PutClusterCapacityProviders."""
    _require_providers(request)
    with LOCK:
        found = cluster(request["cluster"])
        for member in ("capacityProviders", "defaultCapacityProviderStrategy"):
            found[member] = request[member]
        return {"cluster": shown(found)}


def _require_providers(request: Record) -> None:
    providers = request.get("capacityProviders", [])
    for name in providers:
        if name not in PROVIDERS:
            raise invalid(f"The specified capacity provider {name} is not available: this cloud has {PROVIDERS}.")
    for item in request.get("defaultCapacityProviderStrategy", []):
        if item["capacityProvider"] not in providers:
            raise invalid(
                "The default capacity provider strategy cannot contain a capacity provider that is not associated with "
                "the cluster."
            )
