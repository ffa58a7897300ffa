"""Refuses requests for more instances than the account's quota."""

from __future__ import annotations

from localcloud.quotas import quota, quota_name
from localcloud.service_model.errors import ServiceError


def require_quota(instance_type: str, usage: str, instances: int) -> None:
    """Require that the account may use so many instances for one request. What others use already does not count.

    Args:
        instance_type: The type of the instances, such as ``ml.m5.large``.
        usage: What they are for: one of :data:`localcloud.quotas.USAGES`.
        instances: How many the request asks for.

    Raises:
        ServiceError: ResourceLimitExceeded, if they are more than the quota.
    """
    most = quota(instance_type)
    if instances > most:
        raise ServiceError(
            "ResourceLimitExceeded",
            f"The account-level service limit '{quota_name(instance_type, usage)}' is {most} Instances, with current "
            f"utilization of 0 Instances and a request delta of {instances} Instances. Please use AWS Service Quotas "
            "to request an increase for this quota. If AWS Service Quotas is not available, contact AWS support to "
            "request an increase for this quota.",
        )
