"""Saves what each request has changed before it is answered.

Restores: what was answered survives. The released emulator writes its state at an orderly stop only, so a kill loses
everything since the last one: FIFO sequence numbers go back, and stacks are lost while their buckets remain.

Each request saves the messages, records and log events that it changed, a row for each. The rest of a service is one
document, saved by the requests that may change it. If documents are large, their commits wait so that they take at most
a tenth of the time, and the answers wait for them. A change of a stack is saved as a whole, once it is over. If a save
fails, the answer is an error, and the change is saved with the next request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
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
    "ecs": "ecs",
    "iam": "iam",
    "kinesis": "kinesis",
    "lambda": "lambda_svc",
    "logs": "cloudwatch_logs",
    "monitoring": "cloudwatch",
    "s3": "s3",
    "scheduler": "scheduler",
    "sns": "sns",
    "sqs": "sqs",
    "ssm": "ssm",
    "states": "stepfunctions",
}
# Actions that change messages, records or log events only, or nothing at all.
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


def install(state: Path, *loaded: Callable[[], None]) -> None:
    """Load the state from the folder when the emulator starts, and save what each request changes.

    Install it last, as the handlers that it wraps may have wrappers that change something too.

    Args:
        state: The folder.
        loaded: What is called when the state is loaded.
    """
    keeper = _Keeper(state / "state.sqlite", loaded)
    app._load_persisted_state = keeper.load
    app.save_all = keeper.close
    for service, handler in app.SERVICE_HANDLERS.items():
        app.SERVICE_HANDLERS[service] = keeper.saving(service, handler)


class _Keeper:
    def __init__(self, path: Path, loaded: Sequence[Callable[[], None]]) -> None:
        self._file = StateFile(path)
        self._loaded = loaded
        self._queues, self._streams = QueueContent(self._file), StreamContent(self._file)
        self._logs = LogContent(self._file)
        self._documents: dict[str, str] = {}  # as they are in the file
        self._changed: set[str] = set()
        self._rested_at = self._swept_at = 0.0  # on the monotonic clock
        self._documents_lock = asyncio.Lock()

    def load(self) -> None:
        """Restore all services, or end the process, as the emulator would otherwise run with a part of the state."""
        try:
            self._load()
            for call in self._loaded:
                call()
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
        """Save everything, also changes that no request made, and close the file.

        A change of a stack that is under way is not saved, as its request was not answered.
        """
        self._commit(() if self._documents_lock.locked() else _MODULES.values())
        self._file.close()

    def saving(self, service: str, handle: Handler) -> Handler:
        """Return the handler, which also saves what it has changed before it returns its answer."""
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
    """Return the modules whose documents the request may have changed."""
    if service == "lambda":
        return () if method == "GET" or path.endswith("/invocations") else ("lambda_svc",)
    if service == "s3":
        is_of_bucket = "/" not in path.strip("/")  # objects are files
        return ("s3",) if is_of_bucket and method not in _READS else ()
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    if service not in _MODULES or action in _CONTENT_ACTIONS.get(service, ()):
        return ()
    return (_MODULES[service],)


def _document(module: str) -> str:
    """Return the module's document; it is empty if the module was never loaded."""
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
    """Load the files of earlier versions, which wrote at an orderly stop only."""
    for key, module in app._state_map.items():
        if module in _MODULES.values() and (state := persistence.load_state(key)):
            app._get_module(module).load_persisted_state(state)


async def _stacks_settled() -> None:
    """Wait until no stack changes any more; resources are created at once."""
    from ministack.services import cloudformation

    ends = time.monotonic() + _STACK_SECONDS
    while time.monotonic() < ends and any(
        stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS"
        for stack in cloudformation._stacks._data.values()
    ):
        await asyncio.sleep(_LOOK_SECONDS)
