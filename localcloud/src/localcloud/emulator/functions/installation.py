"""Puts this package in the place of the emulator's own executor."""

from __future__ import annotations

import functools
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ministack import app
from ministack.services import eventbridge, lambda_svc, sns

from localcloud.emulator.clients import Client
from localcloud.emulator.functions import operations
from localcloud.emulator.functions.delivery import Delivery
from localcloud.emulator.functions.deployed import Deployments
from localcloud.emulator.functions.environment import ExecutionEnvironment
from localcloud.emulator.functions.events import EventFile
from localcloud.emulator.functions.executor import Executor
from localcloud.emulator.functions.operations import Operations
from localcloud.emulator.functions.pool import Pool
from localcloud.images import Image, MissingImageError

logger = logging.getLogger("functions")


def install(
    state: Path, images: Mapping[str, Image], endpoints: Mapping[str, str], client: Client
) -> Callable[[], None]:
    """Replace the emulator's executor, and return what has to be called once the emulator has loaded its state.

    Args:
        state: The folder of the emulator's state; the events are in it, and code and scratch folders are beside it.
        images: What runs in place of images and runtimes, by name.
        endpoints: The variables with which boto3 finds this cloud.
        client: Returns clients of this cloud.
    """
    folder = state.parent / "functions"
    deployments = Deployments(images, folder / "code")
    pool = Pool(folder / "environments", endpoints, functools.partial(_is_current, deployments))
    executor = Executor(deployments, pool, client)
    delivery = Delivery(EventFile(state / "events.sqlite"), executor, client)
    lambda_svc._execute_function = executor.execute_for_service
    lambda_svc._schedule_state_transition = operations.settle_soon
    lambda_svc.invoke_async_with_retry = functools.partial(_accept, delivery)
    sns._deliver_to_lambda = functools.partial(_deliver_notification, delivery)
    eventbridge._dispatch_to_lambda = functools.partial(_deliver_rule_event, delivery)
    app.SERVICE_HANDLERS["lambda"] = Operations(app.SERVICE_HANDLERS["lambda"], images, executor, delivery).answer

    def loaded() -> None:
        operations.settle_at_once()
        delivery.start()

    return loaded


def _is_current(deployments: Deployments, environment: ExecutionEnvironment) -> bool:
    """Return whether the function of an environment is still there, with the same code, configuration and image."""
    _, _, _, region, account, _, name, *_ = environment.function.key.split(" ")[0].split(":")
    record = lambda_svc._functions.get_scoped(account, region, name)
    try:
        return record is not None and deployments.key(record) == environment.function.key
    except MissingImageError:
        return False


def _accept(delivery: Delivery, record: Mapping[str, Any], event: Any) -> None:
    """Accept an event of another service."""
    payload = json.dumps(event, ensure_ascii=False).encode()
    delivery.accept(str(uuid.uuid4()), record["config"]["FunctionArn"], payload)


def _deliver_notification(
    delivery: Delivery, function: str, envelope: str, _topic: str, subscription: str, *_message: Any
) -> None:
    """Accept a notification of SNS, which the emulator would run while the publisher waits."""
    _accept_for(
        delivery,
        function,
        {
            "Records": [
                {
                    "EventVersion": "1.0",
                    "EventSubscriptionArn": subscription,
                    "EventSource": "aws:sns",
                    "Sns": json.loads(envelope),
                }
            ]
        },
    )


def _deliver_rule_event(delivery: Delivery, function: str, payload: str) -> None:
    """Accept an event of EventBridge."""
    _accept_for(delivery, function, json.loads(payload))


def _accept_for(delivery: Delivery, function: str, event: Any) -> None:
    record, config, name = lambda_svc._get_func_record_for_ref(function)
    if record is None or config is None:
        logger.warning("an event for function %s is dropped: there is no such function", name)
        return
    _accept(delivery, {"config": config}, event)
