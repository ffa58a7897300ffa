"""Saves the messages of the emulator's queues, and restores them at its start."""

from __future__ import annotations

import json
import time

from ministack.core.responses import AccountRegionScopedDict
from ministack.services import sqs

from localcloud.emulator.backlog import Deduplication, Message, Queue, backlog_of
from localcloud.emulator.durability.state_file import Held, StateFile

_CONTENT = ("messages", "dedup_cache", "fifo_seq")
_HELD = ("receipt_handle", "visible_at", "receive_count", "first_receive_at")


def without_content() -> dict[str, AccountRegionScopedDict]:
    """Return the emulator's document of all queues without what their messages change."""
    queues = AccountRegionScopedDict()
    queues._data = {
        key: {name: value for name, value in queue.items() if name not in _CONTENT}
        for key, queue in sqs._queues._data.items()
    }
    return {"queues": queues}


class QueueContent:
    """The part of the queues that is in the file. Save within a transaction, and confirm after its commit."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._saved: dict[str, int] = {}  # queue → the last sequence number

    def restore(self) -> None:
        """Restore the messages of the queues, which exist already."""
        for queue in sqs._queues._data.values():
            name = _name(queue)
            queue["messages"] = [_message(text, held) for text, held in self._file.messages(name)]
            queue["dedup_cache"] = {
                key: json.loads(entry) for key, entry in self._file.deduplications(name, time.time())
            }
            queue["fifo_seq"] = self._saved[name] = self._file.sequence_number(name)

    def save(self) -> None:
        """Write what has changed since the last confirmed save."""
        queues = {_name(queue): queue for queue in sqs._queues._data.values()}
        for name in self._saved.keys() - queues.keys():
            self._file.forget_queue(name)
        for name, queue in queues.items():
            if backlog_of(queue).is_changed():
                self._save(name, queue)

    def confirm(self) -> None:
        """Record that the last save is committed."""
        for queue in sqs._queues._data.values():
            backlog_of(queue).saved()
        self._saved = {_name(queue): queue["fifo_seq"] for queue in sqs._queues._data.values()}

    def forget_expired(self) -> None:
        """Remove expired deduplication ids from the file."""
        self._file.forget_deduplications(time.time())

    def _save(self, name: str, queue: Queue) -> None:
        backlog = backlog_of(queue)
        if name not in self._saved or backlog.is_replaced:
            self._file.delete_all_messages(name)
        changes = list(backlog.changes())
        added = [(place, message) for place, message, is_new in changes if is_new and message]
        self._file.add_messages((name, place, _text(message)) for place, message in added)
        self._file.hold_messages((name, place, *_held(message)) for place, message, _ in changes if message)
        self._file.delete_messages((name, place) for place, message, _ in changes if not message)
        self._file.add_deduplications(
            (name, key, entry["expire"], json.dumps(entry)) for key, entry in _remembered(queue, added)
        )
        if queue["fifo_seq"] != self._saved.get(name):
            self._file.put_sequence_number(name, queue["fifo_seq"])


def _remembered(queue: Queue, added: list[tuple[int, Message]]) -> list[tuple[str, Deduplication]]:
    """Return the deduplication entries of the new messages: the queue's answers if one is sent again."""
    keys = [(message["id"], message.get("dedup_cache_key")) for _, message in added]
    entries = [(message_id, key, queue["dedup_cache"].get(key)) for message_id, key in keys if key]
    return [(key, entry) for message_id, key, entry in entries if entry and entry["id"] == message_id]


def _name(queue: Queue) -> str:
    return queue["attributes"]["QueueArn"]


def _text(message: Message) -> str:
    return json.dumps({name: value for name, value in message.items() if name not in _HELD})


def _held(message: Message) -> Held:
    return (
        message.get("receipt_handle"),
        message["visible_at"],
        message["receive_count"],
        message.get("first_receive_at"),
    )


def _message(text: str, held: Held) -> Message:
    message: Message = json.loads(text)
    message["receipt_handle"], message["visible_at"], message["receive_count"], message["first_receive_at"] = held
    return message
