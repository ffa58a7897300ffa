"""The emulator's state in one SQLite file, with a transaction before each answer, so that a kill loses no answer.

The content of queues, streams and logs has a row for each message, record and event, so that a request writes only what
it changes. Everything else of a service is one small document. The objects of S3 are files
(:mod:`localcloud.emulator.object_files`).

A commit is in the file's log before it returns, which is enough for a killed process. It is not forced to the disk, so
a machine that loses its power may lose the transactions of the last seconds, but the file stays intact.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (service TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    queue TEXT NOT NULL,
    place INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (queue, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
    queue TEXT NOT NULL,
    place INTEGER NOT NULL,
    receipt_handle TEXT,
    visible_at REAL NOT NULL,
    receive_count INTEGER NOT NULL,
    first_receive_at REAL,
    PRIMARY KEY (queue, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deduplications (
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    expire REAL NOT NULL,
    entry TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sequence_numbers (queue TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS log_events (
    stream TEXT NOT NULL,
    place INTEGER NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (stream, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    shard TEXT NOT NULL,
    sequence_number TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (shard, sequence_number)
) WITHOUT ROWID;
"""

# A checkpoint waits for the disk; between two of them the log grows to 40 MB.
_PAGES_BETWEEN_CHECKPOINTS = 10_000
_CACHE_KIB = 64 * 1024

Held = tuple[str | None, float, int, float | None]  # receipt handle, visible at, receive count, first receive at
MessageRow = tuple[str, int, str]


class StateFile:
    """The file of one emulator. Write within a `transaction` only. Times are seconds since the epoch.

    Args:
        path: The SQLite file; it and its folder are made if they are missing.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(f"PRAGMA wal_autocheckpoint={_PAGES_BETWEEN_CHECKPOINTS}")
        self._connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all writes of the context, or none of them if it raises.

        Raises:
            sqlite3.Error: They could not be written, because the disk is full for instance.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # on a full disk, SQLite itself has ended it
                self._connection.execute("ROLLBACK")
            raise

    def documents(self) -> dict[str, str]:
        """Return every service's document, by the service's name."""
        return dict(self._connection.execute("SELECT service, document FROM documents"))

    def put_document(self, service: str, document: str) -> None:
        """Write a service's document, which is JSON."""
        self._connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", (service, document))

    def messages(self, queue: str) -> Iterator[tuple[str, Held]]:
        """Yield the messages of a queue in sending order, each with its `Held`."""
        rows = self._connection.execute(
            "SELECT message, receipt_handle, visible_at, receive_count, first_receive_at FROM messages "
            "JOIN holds USING (queue, place) WHERE queue = ? ORDER BY place",
            (queue,),
        )
        for message, *held in rows:
            yield message, (held[0], held[1], held[2], held[3])

    def add_messages(self, rows: Iterable[MessageRow]) -> None:
        """Add messages; a row is a queue, a place and a message. `hold_messages` writes the rest."""
        self._connection.executemany("INSERT INTO messages VALUES (?, ?, ?)", rows)

    def hold_messages(self, rows: Iterable[tuple[str, int, str | None, float, int, float | None]]) -> None:
        """Write how messages are held; a row is a queue, a place and a `Held`, short even for a long message."""
        self._connection.executemany("INSERT OR REPLACE INTO holds VALUES (?, ?, ?, ?, ?, ?)", rows)

    def delete_messages(self, rows: Iterable[tuple[str, int]]) -> None:
        """Delete messages; a row is a queue and a place."""
        places = list(rows)
        for table in ("messages", "holds"):
            self._connection.executemany(f"DELETE FROM {table} WHERE queue = ? AND place = ?", places)  # noqa: S608

    def delete_all_messages(self, queue: str) -> None:
        """Delete all messages of a queue."""
        for table in ("messages", "holds"):
            self._connection.execute(f"DELETE FROM {table} WHERE queue = ?", (queue,))  # noqa: S608

    def deduplications(self, queue: str, now: float) -> Iterator[tuple[str, str]]:
        """Yield the deduplication ids of a queue with their entries; of one id, the last counts.

        Args:
            queue: The queue's name.
            now: Ids that have expired by now are left out.
        """
        return self._connection.execute(
            "SELECT id, entry FROM deduplications WHERE queue = ? AND expire > ? ORDER BY rowid", (queue, now)
        )

    def add_deduplications(self, rows: Iterable[tuple[str, str, float, str]]) -> None:
        """Add deduplication ids; a row is a queue, an id, its expiry and an entry."""
        self._connection.executemany("INSERT INTO deduplications VALUES (?, ?, ?, ?)", rows)

    def forget_deduplications(self, now: float) -> None:
        """Delete the ids that have expired by ``now``."""
        self._connection.execute("DELETE FROM deduplications WHERE expire <= ?", (now,))

    def sequence_number(self, queue: str) -> int:
        """Return the last sequence number of a queue; 0 if there is none."""
        row = self._connection.execute("SELECT last FROM sequence_numbers WHERE queue = ?", (queue,)).fetchone()
        return row[0] if row else 0

    def put_sequence_number(self, queue: str, last: int) -> None:
        """Write the last sequence number of a queue."""
        self._connection.execute("INSERT OR REPLACE INTO sequence_numbers VALUES (?, ?)", (queue, last))

    def forget_queue(self, queue: str) -> None:
        """Delete everything about a queue."""
        for table in ("messages", "holds", "deduplications", "sequence_numbers"):
            self._connection.execute(f"DELETE FROM {table} WHERE queue = ?", (queue,))  # noqa: S608

    def records(self, shard: str) -> list[str]:
        """Return the records of a shard, in their order."""
        rows = self._connection.execute("SELECT record FROM records WHERE shard = ? ORDER BY sequence_number", (shard,))
        return [record for (record,) in rows]

    def add_records(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Add records; a row is a shard, a sequence number and a record."""
        self._connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", rows)

    def delete_records(self, shard: str, before: str | None = None) -> None:
        """Delete records of a shard.

        Args:
            shard: The shard's name.
            before: Records with lower sequence numbers are deleted; None deletes all.
        """
        self._connection.execute(
            "DELETE FROM records WHERE shard = ? AND (? IS NULL OR sequence_number < ?)", (shard, before, before)
        )

    def log_events(self, stream: str) -> list[str]:
        """Return the events of a log stream, in their order."""
        rows = self._connection.execute("SELECT event FROM log_events WHERE stream = ? ORDER BY place", (stream,))
        return [event for (event,) in rows]

    def add_log_events(self, rows: Iterable[tuple[str, int, str]]) -> None:
        """Add events; a row is a log stream, a place in it and an event."""
        self._connection.executemany("INSERT OR REPLACE INTO log_events VALUES (?, ?, ?)", rows)

    def delete_log_events(self, stream: str) -> None:
        """Delete all events of a log stream."""
        self._connection.execute("DELETE FROM log_events WHERE stream = ?", (stream,))
