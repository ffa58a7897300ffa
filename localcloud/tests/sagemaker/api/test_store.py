"""Documents survive the process, and change one at a time."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from localcloud.sagemaker.api.store import DocumentKind, MissingResourceError, NameTakenError, Store

Document = dict[str, Any]
MODEL, ENDPOINT, JOB = (DocumentKind[Document](name) for name in ("model", "endpoint", "job"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "folder" / "store.sqlite")


def test_a_document_survives_the_process(tmp_path: Path) -> None:
    first = Store(tmp_path / "store.sqlite")
    first.insert(MODEL, "m", {"Name": "m", "Time": 1.5})
    first.update_tags("arn:m", lambda tags: tags | {"k": "v"})
    second = Store(tmp_path / "store.sqlite")  # while the first is still open, as after a kill
    assert second.get(MODEL, "m") == {"Name": "m", "Time": 1.5}
    assert second.tags("arn:m") == {"k": "v"}


def test_a_name_is_taken_once_within_a_kind(store: Store) -> None:
    store.insert(MODEL, "x", {"n": 1})
    store.insert(ENDPOINT, "x", {"n": 2})
    with pytest.raises(NameTakenError):
        store.insert(MODEL, "x", {"n": 3})
    assert store.get(MODEL, "x") == {"n": 1}


def test_a_name_is_found_in_any_case_and_keeps_its_own(store: Store) -> None:
    store.insert(MODEL, "M/1", {"n": 1})
    with pytest.raises(NameTakenError):
        store.insert(MODEL, "m/1", {"n": 2})
    assert store.get(MODEL, "m/1") == {"n": 1}
    assert store.update(MODEL, "m/1", lambda document: document.update(n=3)) == {"n": 3}
    assert store.all(MODEL) == [{"n": 3}]
    store.delete(MODEL, "m/1")
    assert store.all(MODEL) == []


def test_an_earlier_versions_names_that_differ_in_case_stay_apart(tmp_path: Path) -> None:
    Store(tmp_path / "store.sqlite").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite")) as earlier:
        earlier.execute("DROP INDEX names")
        earlier.execute("INSERT INTO resources VALUES ('model', 'M', '{\"n\": 1}'), ('model', 'm', '{\"n\": 2}')")
        earlier.commit()
    store = Store(tmp_path / "store.sqlite")
    assert [store.get(MODEL, name) for name in ("M", "m")] == [{"n": 1}, {"n": 2}]
    store.delete(MODEL, "m")
    assert store.all(MODEL) == [{"n": 1}]


def test_a_missing_document_is_an_error(store: Store) -> None:
    for call in (store.get, store.delete):
        with pytest.raises(MissingResourceError):
            call(MODEL, "nothing")
    with pytest.raises(MissingResourceError):
        store.update(MODEL, "nothing", lambda document: None)


def test_a_change_that_fails_changes_nothing(store: Store) -> None:
    store.insert(JOB, "j", {"n": 1})

    def fail(document: Document) -> None:
        document["n"] = 2
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        store.update(JOB, "j", fail)
    assert store.get(JOB, "j") == {"n": 1}


def test_no_change_is_lost_between_threads(store: Store) -> None:
    store.insert(JOB, "j", {"n": 0})

    def count(document: Document) -> None:
        document["n"] += 1

    threads = [threading.Thread(target=lambda: [store.update(JOB, "j", count) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert store.get(JOB, "j") == {"n": 200}


def test_tags_that_are_refused_stay_as_they_were(store: Store) -> None:
    store.update_tags("arn:m", lambda _: {"k": "v"})
    unfit: Any = {"a": "b", "k": object()}
    with pytest.raises(sqlite3.Error):
        store.update_tags("arn:m", lambda _: unfit)
    assert store.tags("arn:m") == {"k": "v"}


def test_documents_are_listed_by_name(store: Store) -> None:
    for name in ("b", "a", "c"):
        store.insert(MODEL, name, {"Name": name})
    store.delete(MODEL, "b")
    assert [document["Name"] for document in store.all(MODEL)] == ["a", "c"]
