"""Which resources a CloudFormation template may have here, and how a stack treats a bucket that already exists.

Restores: a bucket with objects isn't removed with its stack. The released emulator removes a bucket with all its
objects, even when a change is rolled back; here the bucket stays, and the stack is removed. So a bucket may outlive its
stack; earlier versions, which lost their stacks to a kill, also left buckets without one. CloudFormation refuses to
create a bucket that exists; here the new stack takes it over, unless another stack has it.

Source: AWS CloudFormation Template Reference, AWS::S3::Bucket ("you can only delete empty buckets").
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack import app

from localcloud.emulator import stream_consumers
from localcloud.emulator.ecs import stacks as ecs_stacks
from localcloud.emulator.functions import stacks as function_stacks
from localcloud.emulator.schedules import stacks as schedule_stacks
from localcloud.emulator.state_machines import stacks as state_machine_stacks
from localcloud.images import Image

_USED = (
    *(f"AWS::{name}::" for name in ("CloudWatch", "IAM", "Kinesis", "Logs", "S3", "SNS", "SQS", "SSM")),
    *function_stacks.TYPES,
    state_machine_stacks.TYPE,
    schedule_stacks.TYPE,
    *("AWS::ECS::Cluster", "AWS::ECS::TaskDefinition"),
)
_BUCKET = "AWS::S3::Bucket"

Handler = Callable[..., Awaitable[Any]]


def install(images: Mapping[str, Image]) -> None:
    """Patch CloudFormation at its first request, as it takes a second to load.

    Args:
        images: What runs in place of images and runtimes, by name.
    """
    prepare = functools.cache(lambda: _prepare(images))
    app.SERVICE_HANDLERS["cloudformation"] = _prepared(app.SERVICE_HANDLERS["cloudformation"], prepare)


def _prepared(handle: Handler, prepare: Callable[[], None]) -> Handler:
    async def call(*request: Any) -> Any:
        prepare()
        return await handle(*request)

    return call


def _prepare(images: Mapping[str, Image]) -> None:
    from ministack.services.cloudformation import provisioners

    # Custom resources are off too: their functions would answer a path of the emulator's own.
    for name in [name for name in provisioners._RESOURCE_HANDLERS if not name.startswith(_USED)]:
        del provisioners._RESOURCE_HANDLERS[name]
    ecs_stacks.patch(provisioners._RESOURCE_HANDLERS)
    function_stacks.patch(provisioners._RESOURCE_HANDLERS, images)
    state_machine_stacks.patch(provisioners._RESOURCE_HANDLERS)
    schedule_stacks.patch(provisioners._RESOURCE_HANDLERS)
    stream_consumers.patch(provisioners._RESOURCE_HANDLERS, provisioners._REPLACING_PROPERTIES)
    of_bucket = provisioners._RESOURCE_HANDLERS[_BUCKET]
    of_bucket["create"] = _adopting(of_bucket["create"], of_bucket["update"])
    of_bucket["delete"] = _keeping_content(of_bucket["delete"])
    provisioners.s3_bucket_name_conflict = _of_another_stack(provisioners.s3_bucket_name_conflict)


def _adopting(create: Callable[..., Any], update: Callable[..., Any]) -> Callable[..., Any]:
    from ministack.services import s3

    def call(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        name = properties.get("BucketName", "")
        if name in s3._buckets and not _owned(name):
            return update(name, {}, properties, stack)
        return create(logical_id, properties, stack)

    return call


def _of_another_stack(conflict: Callable[[str], str | None]) -> Callable[[str], str | None]:
    return lambda name: conflict(name) if _owned(name) else None


def _owned(bucket: str) -> bool:
    """Return whether a stack has the bucket."""
    from ministack.services import cloudformation

    return any(
        (resource["ResourceType"], resource["PhysicalResourceId"]) == (_BUCKET, bucket)
        for stack in cloudformation._stacks._data.values()
        if stack["StackStatus"] != "DELETE_COMPLETE"
        for resource in stack["_resources"].values()
    )


def _keeping_content(delete: Callable[..., Any]) -> Callable[..., Any]:
    from ministack.services import s3

    def call(bucket: str, properties: dict[str, Any]) -> Any:
        if bucket in s3._buckets and (s3._buckets[bucket]["objects"] or s3._bucket_has_versions(bucket)):
            return None
        return delete(bucket, properties)

    return call
