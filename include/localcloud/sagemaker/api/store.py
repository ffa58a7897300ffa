"""Everything that the stand-in knows, in one SQLite file that survives a kill.

A resource is a JSON document under a kind and a name; times in it are seconds since the epoch, as the JSON
protocol sends them. Each method is one transaction.
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
            NameTakenError: the name is in use; nothing was changed.
        """
        try:
            self._execute("INSERT INTO resources VALUES (?, ?, ?)", kind, name, json.dumps(document))
        except sqlite3.IntegrityError as error:
            raise NameTakenError(name) from error

    def get(self, kind: str, name: str) -> Document:
        """The document.

        Raises:
            MissingResourceError: there is none.
        """
        rows = self._execute("SELECT document FROM resources WHERE kind = ? AND name = ?", kind, name)
        if not rows:
            raise MissingResourceError(name)
        return self._load(rows[0][0])

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
            document = self.get(kind, name)
            change(document)
            self._execute(
                "UPDATE resources SET document = ? WHERE kind = ? AND name = ?", json.dumps(document), kind, name
            )
            return document

    def delete(self, kind: str, name: str) -> None:
        """Remove a resource and its tags.

        Raises:
            MissingResourceError: there is none.
        """
        with self._lock:
            self.get(kind, name)
            self._execute("DELETE FROM resources WHERE kind = ? AND name = ?", kind, name)

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of an ARN, by key."""
        return dict(self._execute("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", arn))

    def set_tags(self, arn: str, tags: dict[str, str]) -> None:
        """Replace all tags of an ARN."""
        with self._lock:
            self._execute("BEGIN IMMEDIATE")
            self._execute("DELETE FROM tags WHERE arn = ?", arn)
            for key, value in tags.items():
                self._execute("INSERT INTO tags VALUES (?, ?, ?)", arn, key, value)
            self._execute("COMMIT")

    def _execute(self, statement: str, *values: str) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    @staticmethod
    def _load(text: str) -> Document:
        document: Document = json.loads(text)
        return document
