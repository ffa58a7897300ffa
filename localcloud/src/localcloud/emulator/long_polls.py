"""Long polls that end when there is something to give, as those of SQS do.

Restores: a long poll answers as soon as a message is available. As released, the emulator looks ten times a second; a
reader that waits for its group to be free again waits a tenth of a second for it. Here a wait also ends when a call
changes the queue.

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

_LOOK_SECONDS = 0.1  # for what no call tells: a visibility time-out that ends, a fan-out of another service
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
    """Replace the emulator's handlers, after whoever else has replaced some. All run on its one event loop."""
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
        asked = data.get("WaitTimeSeconds")
        queue = sqs._get_q(data.get("QueueUrl", url), "sqs:ReceiveMessage")
        seconds = int(queue["attributes"].get("ReceiveMessageWaitTimeSeconds", 0) if asked is None else asked)
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
