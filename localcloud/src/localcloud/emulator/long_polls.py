"""Long polls that end as soon as a message is available, as in SQS.

Restores: a long poll answers as soon as a message is available. The released emulator looks ten times a second, so a
reader waits up to a tenth of a second for its group. Here a wait also ends when a call changes the queue.

Source: Amazon SQS Developer Guide, "Amazon SQS short and long polling".
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ministack.services import sqs

_LOOK_SECONDS = 0.1  # for changes without a call: a visibility time-out that ends, a fan-out of another service
_CHANGES = (
    "SendMessage",
    "SendMessageBatch",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
)

Handler = Callable[[dict[str, Any], str], Any]
_waiting: dict[str, set[asyncio.Event]] = defaultdict(set)  # by the queue's name


def install() -> None:
    """Replace the emulator's handlers, after all other patches. All of them run on its one event loop."""
    for action in _CHANGES:
        sqs._HANDLERS[action] = _waking(sqs._HANDLERS[action])
    sqs._HANDLERS["ReceiveMessage"] = _waiting_for(sqs._HANDLERS["ReceiveMessage"])


def _waking(handler: Handler) -> Handler:
    async def call(data: dict[str, Any], url: str) -> Any:
        answer = handler(data, url)
        if inspect.isawaitable(answer):
            answer = await answer
        for event in _waiting[_name(data, url)]:
            event.set()
        return answer

    return call


def _waiting_for(receive: Handler) -> Handler:
    async def call(data: dict[str, Any], url: str) -> Any:
        requested = data.get("WaitTimeSeconds")
        queue = sqs._get_q(data.get("QueueUrl", url), "sqs:ReceiveMessage")
        seconds = int(queue["attributes"].get("ReceiveMessageWaitTimeSeconds", 0) if requested is None else requested)
        ends, changed, here = time.monotonic() + seconds, asyncio.Event(), _waiting[_name(data, url)]
        here.add(changed)
        try:
            while True:
                changed.clear()
                answer = await receive({**data, "WaitTimeSeconds": 0}, url)
                left = ends - time.monotonic()
                if answer.get("Messages") or left <= 0:
                    return answer
                try:
                    await asyncio.wait_for(changed.wait(), min(left, _LOOK_SECONDS))
                except TimeoutError:
                    continue
        finally:
            here.discard(changed)

    return call


def _name(data: dict[str, Any], url: str) -> str:
    return str(data.get("QueueUrl", url)).rpartition("/")[2]
