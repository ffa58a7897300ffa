"""A journal keeps every record under a number of its own, also when several write at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict
from tests.conftest import Cloud

from sluice.errors import ConflictingWrite, UnreadableObject
from sluice.lake.journal import append, entries, newest, newest_first
from sluice.lake.store import Lake

FOLDER = "toy/notes/"


class Note(BaseModel):
    model_config = ConfigDict(frozen=True)

    schema_version: Literal[2] = 2
    text: str


def test_records_are_in_order_beyond_nine(lake: Lake) -> None:
    for number in range(12):
        append(lake, FOLDER, Note(text=f"note {number}"))

    found = entries(lake, FOLDER, Note)
    assert {number: note.text for number, note in found.items()} == {n + 1: f"note {n}" for n in range(12)}


def test_newest_are_read_first_and_the_older_ones_not_at_all(lake: Lake) -> None:
    """GIVEN a damaged oldest record THEN who takes the newest ones does not meet it."""
    lake.create(f"{FOLDER}000001.json", b"{")
    for number in (2, 3, 4):
        lake.create(f"{FOLDER}{number:06d}.json", Note(text=f"note {number}").model_dump_json().encode())

    taken = newest_first(lake, FOLDER, Note)

    assert [next(taken), next(taken)] == [(4, Note(text="note 4")), (3, Note(text="note 3"))]
    with pytest.raises(UnreadableObject, match=r"000001\.json is no JSON"):
        list(taken)


def test_writers_at_once_get_a_number_each_and_no_record_is_lost(cloud: Cloud, lake: Lake) -> None:
    start = Barrier(8)

    def write(name: int) -> int:
        own = Lake(cloud.client("s3"), lake.bucket, "toy")
        start.wait(timeout=30)
        return append(own, FOLDER, Note(text=f"note {name}"))

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(write, range(8)))

    assert sorted(numbers) == list(range(1, 9))
    found = entries(lake, FOLDER, Note)
    assert {number: found[number].text for number in numbers} == {
        number: f"note {name}" for name, number in enumerate(numbers)
    }


def test_writer_that_always_conflicts_gives_up(cloud: Cloud, lake: Lake) -> None:
    s3, taken = cloud.client("s3"), iter(range(1000))

    def overtake(**_: object) -> None:
        lake.create(f"{FOLDER}{next(taken) + 1:06d}.json", Note(text="theirs").model_dump_json().encode())

    s3.meta.events.register("before-call.s3.PutObject", overtake)

    with pytest.raises(ConflictingWrite, match=r"/toy/notes/ keeps being written by other runs"):
        append(Lake(s3, lake.bucket, "toy"), FOLDER, Note(text="ours"))
    assert Note(text="ours") not in entries(lake, FOLDER, Note).values()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"schema_version": 2}', b"{}", b"\xff"])
def test_damaged_record_is_named(lake: Lake, body: bytes) -> None:
    lake.create(f"{FOLDER}000001.json", body)

    with pytest.raises(UnreadableObject, match=r"/toy/notes/000001\.json is no .*; restore its former version"):
        entries(lake, FOLDER, Note)


def test_record_of_an_older_schema_is_left_out_and_one_of_a_newer_is_not(lake: Lake) -> None:
    """A journal without its newest record would say that an older model is live."""
    lake.create(f"{FOLDER}000001.json", b'{"schema_version": 1}')
    append(lake, FOLDER, Note(text="note"))
    assert entries(lake, FOLDER, Note) == {2: Note(text="note")}

    lake.create(f"{FOLDER}000003.json", b'{"schema_version": 3, "text": "note"}')

    with pytest.raises(UnreadableObject, match=r"/toy/notes/000003\.json has schema 3, .* update Sluice"):
        entries(lake, FOLDER, Note)


@pytest.mark.parametrize("name", ["", "notes.txt", "7", "latest.json", "backup/000009.json", "000009.json.bak"])
def test_what_lies_beside_the_records_is_passed_over(lake: Lake, name: str) -> None:
    append(lake, FOLDER, Note(text="note 1"))
    lake.put(f"{FOLDER}{name}", b"")

    assert append(lake, FOLDER, Note(text="note 2")) == 2
    assert newest(lake, FOLDER, Note) == Note(text="note 2")
    assert list(entries(lake, FOLDER, Note)) == [1, 2]
