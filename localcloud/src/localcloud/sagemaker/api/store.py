"""Everything that the stand-in knows, in one SQLite file that survives a kill.

A resource is a JSON document under a kind and a name; times in it are seconds since the epoch, as in the JSON
protocol. A name is found in any case and keeps the case of its creation; the ARN, to which tags belong, is in lower
case. Each method is one transaction.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

D = TypeVar("D", bound=Mapping[str, Any])
"""The TypedDict of a kind's documents."""

OpaqueDocument = Mapping[str, Any]
"""A document of any kind, whose members are looked up by name."""


class DocumentKind(str, Generic[D]):
    """The name of a kind, such as ``training-job``; the type parameter says what its documents hold."""


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
    """Documents by kind and name, and tags by ARN. Safe to share between threads.

    Args:
        path: The SQLite file; it and its folder are made if they are missing.
    """

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

    def insert(self, kind: str, name: str, document: OpaqueDocument) -> None:
        """Add a resource.

        Args:
            kind: The resource's kind, as ARNs have it.
            name: The name within the kind.
            document: What JSON can hold.

        Raises:
            NameTakenError: The name is in use, in any case; nothing was changed.
        """
        with self._lock:
            if self._found(kind, name):
                raise NameTakenError(name)
            self._execute("INSERT INTO resources VALUES (?, ?, ?)", kind, name, json.dumps(document))

    def get(self, kind: DocumentKind[D], name: str) -> D:
        """Return the document of a kind and a name.

        Raises:
            MissingResourceError: There is none.
        """
        return self._named(kind, name)[1]

    def all(self, kind: DocumentKind[D]) -> list[D]:
        """Return every document of the kind, sorted by name."""
        rows = self._execute("SELECT document FROM resources WHERE kind = ? ORDER BY name", kind)
        return [json.loads(row[0]) for row in rows]

    def update(self, kind: DocumentKind[D], name: str, change: Callable[[D], None]) -> D:
        """Change a document, with no other change in between, and return the result.

        Args:
            kind: The resource's kind.
            name: The name within the kind, in any case.
            change: Alters the document in place.

        Raises:
            MissingResourceError: There is none.
            Exception: What ``change`` raises; the document is then as before.
        """
        with self._lock:
            own_name, document = self._named(kind, name)
            change(document)
            self._execute(
                "UPDATE resources SET document = ? WHERE kind = ? AND name = ?", json.dumps(document), kind, own_name
            )
            return document

    def delete(self, kind: DocumentKind[Any], name: str) -> None:
        """Remove a document; tags stay.

        Raises:
            MissingResourceError: There is none.
        """
        with self._lock:
            own_name, _ = self._named(kind, name)
            self._execute("DELETE FROM resources WHERE kind = ? AND name = ?", kind, own_name)

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of an ARN, by key."""
        return dict(self._execute("SELECT key, value FROM tags WHERE arn = ? ORDER BY key", arn))

    def update_tags(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Replace all tags of an ARN, with no other change in between.

        Args:
            arn: The ARN; it need not have tags yet.
            change: Returns the new tags for the present ones, both by key.

        Raises:
            Exception: What ``change`` raises; the tags are then as before.
        """
        with self._lock:
            tags = change(self.tags(arn))
            with self._connection:
                self._execute("BEGIN IMMEDIATE")
                self._execute("DELETE FROM tags WHERE arn = ?", arn)
                for key, value in tags.items():
                    self._execute("INSERT INTO tags VALUES (?, ?, ?)", arn, key, value)

    def _named(self, kind: DocumentKind[D], name: str) -> tuple[str, D]:
        """Return the name in its own case, and the document."""
        rows = self._found(kind, name)
        if not rows:
            raise MissingResourceError(name)
        own_name, text = rows[0]
        return own_name, json.loads(text)

    def _found(self, kind: str, name: str) -> list[Any]:
        """Return at most one row; in an earlier version's file perhaps two, of which the exact name comes first."""
        return self._execute(
            "SELECT name, document FROM resources WHERE kind = ? AND name = ? COLLATE NOCASE ORDER BY name = ? DESC",
            *(kind, name, name),
        )

    def _execute(self, statement: str, *values: str) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()
