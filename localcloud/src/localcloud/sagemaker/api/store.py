"""Everything that the stand-in knows, in one SQLite file that survives a kill.

A resource is a JSON document under a kind and a name; times in it are seconds since the epoch, as the JSON
protocol sends them. Names are found whatever their case, and keep the case that they were given: the ARN, to which
tags belong, has none. Each method is one transaction.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Document = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names ON resources (kind, name COLLATE NOCASE);
CREATE TABLE IF NOT EXISTS tags (
    arn TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (arn, key)
) WITHOUT ROWID;
"""


class NameTakenError(Exception):
    """A resource of this kind and name exists."""


class MissingResourceError(Exception):
    """No resource of this kind and name exists."""


class Store:
    """Documents by kind and name, and tags by ARN. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; the store can't be used afterwards."""
        with self._lock:
            self._connection.close()

    def insert(self, kind: str, name: str, document: Document) -> None:
        """Add a resource.

        Raises:
            NameTakenError: the name is in use, in whatever case; nothing was changed.
        """
        with self._lock:
            if self._found(kind, name):
                raise NameTakenError(name)
            self._execute("INSERT INTO resources VALUES (?, ?, ?)", kind, name, json.dumps(document))

    def get(self, kind: str, name: str) -> Document:
        """The document.

        Raises:
            MissingResourceError: there is none.
        """
        return self._named(kind, name)[1]

    def all(self, kind: str) -> list[Document]:
        """Every document of the kind, by name."""
        rows = self._execute("SELECT document FROM resources WHERE kind = ? ORDER BY name", kind)
        return [self._load(row[0]) for row in rows]

    def update(self, kind: str, name: str, change: Callable[[Document], None]) -> Document:
        """Let ``change`` alter the document in place, keep and give the result; nobody comes between.

        Raises:
            MissingResourceError: there is none.
            Exception: what ``change`` raises; the document is then as before.
        """
        with self._lock:
            own_name, document = self._named(kind, name)
            change(document)
            self._execute(
                "UPDATE resources SET document = ? WHERE kind = ? AND name = ?", json.dumps(document), kind, own_name
            )
            return document

    def delete(self, kind: str, name: str) -> None:
        """Remove a resource and its tags.

        Raises:
            MissingResourceError: there is none.
        """
        with self._lock:
            own_name, _ = self._named(kind, name)
            self._execute("DELETE FROM resources WHERE kind = ? AND name = ?", kind, own_name)

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of an ARN, by key."""
        return dict(self._execute("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", arn))

    def update_tags(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Replace all tags of an ARN by what ``change`` makes of them; nobody comes between.

        Raises:
            Exception: what ``change`` raises; the tags are then as before.
        """
        with self._lock:
            tags = change(self.tags(arn))
            with self._connection:
                self._execute("BEGIN IMMEDIATE")
                self._execute("DELETE FROM tags WHERE arn = ?", arn)
                for key, value in tags.items():
                    self._execute("INSERT INTO tags VALUES (?, ?, ?)", arn, key, value)

    def _named(self, kind: str, name: str) -> tuple[str, Document]:
        """The name in its own case, and the document."""
        rows = self._found(kind, name)
        if not rows:
            raise MissingResourceError(name)
        own_name, text = rows[0]
        return own_name, self._load(text)

    def _found(self, kind: str, name: str) -> list[Any]:
        """At most one row, but in the file of an earlier version: the name as it is asked for comes first."""
        return self._execute(
            "SELECT name, document FROM resources WHERE kind = ? AND name = ? COLLATE NOCASE ORDER BY name = ? DESC",
            *(kind, name, name),
        )

    def _execute(self, statement: str, *values: str) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    @staticmethod
    def _load(text: str) -> Document:
        document: Document = json.loads(text)
        return document
