"""Each request saves what it has changed before its answer goes out.

Restores: what was answered survives. As released, the emulator writes its state at an orderly stop only, so that a kill
loses all since the last one: FIFO sequence numbers go back, and a stack is forgotten whose bucket is still there.

Messages, records and log events are saved by each request, a row for each that it changed. The rest of a service is one
document, saved by requests that may change it; where documents are large, commits wait so that they take a tenth of the
time at most, and answers wait with them. A change of a stack is saved as a whole, once it is over. What can't be saved
is answered with an error; it stays to be saved with the next request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import persistence
from ministack.services import kinesis

from localcloud.emulator.durability import logs, queues, streams
from localcloud.emulator.durability.logs import LogContent
from localcloud.emulator.durability.queues import QueueContent
from localcloud.emulator.durability.state_file import StateFile
from localcloud.emulator.durability.streams import StreamContent
from localcloud.emulator.failures import failure

Answer = tuple[int, dict[str, Any], Any]
Handler = Callable[[str, str, Mapping[str, str], bytes, Any], Awaitable[Answer]]

# Service → the module whose document it changes. STS has none.
_MODULES = {
    "cloudformation": "cloudformation",
    "iam": "iam",
    "kinesis": "kinesis",
    "logs": "cloudwatch_logs",
    "monitoring": "cloudwatch",
    "s3": "s3",
    "sns": "sns",
    "sqs": "sqs",
    "ssm": "ssm",
}
# What changes messages, records or log events, or nothing at all.
_CONTENT_ACTIONS = {
    "sqs": {
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
        *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch"),
        *("GetQueueAttributes", "GetQueueUrl", "ListQueues"),
    },
    "logs": {
        *("PutLogEvents", "GetLogEvents", "FilterLogEvents", "DescribeLogGroups", "DescribeLogStreams"),
    },
    "kinesis": {
        *("PutRecord", "PutRecords", "GetRecords", "GetShardIterator"),
        *("ListShards", "DescribeStream", "DescribeStreamSummary"),
    },
}
_READS = ("GET", "HEAD")  # of S3
_STACK_SECONDS = 60.0
_LOOK_SECONDS = 0.01
_REST = 9  # a commit of documents is followed by so many times its own duration without one
_SECONDS_BETWEEN_SWEEPS = 60.0

logger = logging.getLogger("durability")


def install(state: Path) -> None:
    """Load what the folder holds when the emulator starts, and save what each request changes.

    Install it last: what wraps a handler further in may still change something.
    """
    keeper = _Keeper(state / "state.sqlite")
    app._load_persisted_state = keeper.load
    app.save_all = keeper.close
    for service, handler in app.SERVICE_HANDLERS.items():
        app.SERVICE_HANDLERS[service] = keeper.saving(service, handler)


class _Keeper:
    def __init__(self, path: Path) -> None:
        self._file = StateFile(path)
        self._queues, self._streams = QueueContent(self._file), StreamContent(self._file)
        self._logs = LogContent(self._file)
        self._documents: dict[str, str] = {}  # as they are in the file
        self._changed: set[str] = set()
        self._rested_at = self._swept_at = 0.0  # on the monotonic clock
        self._documents_lock = asyncio.Lock()

    def load(self) -> None:
        """Restore all services, or end the process: the server would go on with a part of the state, or without it."""
        try:
            self._load()
        except Exception:
            logger.exception("the state can't be loaded; it is left as it is")
            os._exit(1)

    def _load(self) -> None:
        self._documents = self._file.documents()
        if self._documents:
            for module, document in self._documents.items():
                if restored := json.loads(document, object_hook=persistence._json_object_hook):
                    app._get_module(module).load_persisted_state(restored)
            self._queues.restore()
            self._streams.restore()
            self._logs.restore()
        else:
            _load_former_files()
            self._changed.update(_MODULES.values())
        kinesis._next_sequence_number = streams.growing_numbers()
        self._commit(set(self._changed))

    def close(self, *_services: Any) -> None:
        """Save everything, changes that no request made included, and close the file.

        While a stack is being changed, what there is of it is not saved: its request was not answered.
        """
        self._commit(() if self._documents_lock.locked() else _MODULES.values())
        self._file.close()

    def saving(self, service: str, handle: Handler) -> Handler:
        """The handler, with what it changed saved before its answer is given."""
        is_stacks = service == "cloudformation"

        async def call(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Answer:
            try:
                if is_stacks:
                    async with self._documents_lock:
                        self._changed.update(_MODULES.values())
                        answer = await handle(method, path, headers, body, query)
                        await _stacks_settled()
                        self._commit(set(self._changed))
                else:
                    answer = await handle(method, path, headers, body, query)
                    if service != "s3" or method not in _READS:
                        self._commit()
                    await self._save(_changed_by(service, method, path, headers))
            except sqlite3.Error as error:
                logger.error("%s %s %s was not saved: %s", service, method, path, error)
                return failure(service, headers, f"the embedded cloud could not save it: {error}")
            return answer

        return call

    async def _save(self, modules: Collection[str]) -> None:
        self._changed.update(modules)
        if not modules:
            return
        async with self._documents_lock:
            await asyncio.sleep(max(0.0, self._rested_at - time.monotonic()))
            if self._changed.intersection(modules):  # another request may have saved them meanwhile
                self._commit(set(self._changed))

    def _commit(self, modules: Collection[str] = ()) -> None:
        began = time.monotonic()
        documents = {module: _document(module) for module in modules}
        new = {module: document for module, document in documents.items() if document != self._documents.get(module)}
        with self._file.transaction():
            for module, document in new.items():
                self._file.put_document(module, document)
            self._queues.save()
            self._streams.save()
            self._logs.save()
            if began - self._swept_at >= _SECONDS_BETWEEN_SWEEPS:
                self._queues.forget_expired()
                self._swept_at = began
        self._queues.confirm()
        self._streams.confirm()
        self._logs.confirm()
        if modules:
            self._documents |= new
            self._changed.difference_update(modules)
            self._rested_at = time.monotonic() + _REST * (time.monotonic() - began)


def _changed_by(service: str, method: str, path: str, headers: Mapping[str, str]) -> Collection[str]:
    """The modules whose documents the request may have changed."""
    if service == "s3":
        is_of_bucket = "/" not in path.strip("/")  # objects are files
        return ("s3",) if is_of_bucket and method not in _READS else ()
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    if service not in _MODULES or action in _CONTENT_ACTIONS.get(service, ()):
        return ()
    return (_MODULES[service],)


def _document(module: str) -> str:
    """What the module restores itself from; of one that was never loaded, nothing."""
    if module == "sqs":
        state: Any = queues.without_content()
    elif module == "kinesis":
        state = streams.without_content()
    elif module == "cloudwatch_logs":
        state = logs.without_content()
    else:
        loaded = sys.modules.get(f"ministack.services.{module}")
        state = loaded.get_state() if loaded else {}
    return json.dumps(state, default=persistence._json_default)


def _load_former_files() -> None:
    """What versions that wrote at an orderly stop only have left."""
    for key, module in app._state_map.items():
        if module in _MODULES.values() and (state := persistence.load_state(key)):
            app._get_module(module).load_persisted_state(state)


async def _stacks_settled() -> None:
    """Wait until no stack changes any more; resources are made in an instant, all of them."""
    from ministack.services import cloudformation

    ends = time.monotonic() + _STACK_SECONDS
    while time.monotonic() < ends and any(
        stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS"
        for stack in cloudformation._stacks._data.values()
    ):
        await asyncio.sleep(_LOOK_SECONDS)
