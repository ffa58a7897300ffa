"""Splits and merges of the emulator's shards keep the records that are not read yet."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.emulator.shards import children, close_parents, forget_expired, open_shards, shard_for

HOUR = 3600.0


def shard(first: int, last: int, *parents: str) -> dict[str, Any]:
    parent, adjacent = (*parents, None, None)[:2]
    return {
        "records": [],
        "starting_hash_key": str(first),
        "ending_hash_key": str(last),
        "parent_shard_id": parent,
        "adjacent_parent_shard_id": adjacent,
    }


def stream(**shards: dict[str, Any]) -> dict[str, Any]:
    return {"StreamName": "s", "RetentionPeriodHours": 24, "shards": shards}


def resharded(made: dict[str, Any], gone: list[str], now: float = 0, **new: dict[str, Any]) -> None:
    """Reshard as the emulator does, then close the parents."""
    before = dict(made["shards"])
    made["shards"] = {name: each for name, each in before.items() if name not in gone} | new
    close_parents(made, before, "7", now)


@pytest.fixture
def split_and_merged() -> dict[str, Any]:
    """A stream whose shard a(0-9) is split into b and c; c and d(10-19) are merged into e."""
    made = stream(a=shard(0, 9), d=shard(10, 19))
    resharded(made, ["a"], now=10 * HOUR, b=shard(0, 4, "a"), c=shard(5, 9, "a"))
    resharded(made, ["c", "d"], now=20 * HOUR, e=shard(5, 19, "c", "d"))
    return made


def test_parents_are_closed_and_children_take_over(split_and_merged: dict[str, Any]) -> None:
    assert list(split_and_merged["shards"]) == ["a", "d", "b", "c", "e"]
    assert list(open_shards(split_and_merged)) == ["b", "e"]
    assert [shard_for(key, split_and_merged) for key in (0, 4, 5, 9, 10, 19)] == ["b", "b", "e", "e", "e", "e"]
    assert split_and_merged["shards"]["a"]["ending_sequence_number"] == "7"


def test_a_hash_key_without_a_shard_is_an_error(split_and_merged: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no open shard of s takes the hash key 20"):
        shard_for(20, split_and_merged)


def test_children_name_all_of_their_parents(split_and_merged: dict[str, Any]) -> None:
    def describe(name: str, each: dict[str, Any]) -> dict[str, Any]:
        return {"HashKeyRange": name}

    assert [child["ShardId"] for child in children(split_and_merged, "a", describe)] == ["b", "c"]
    assert children(split_and_merged, "d", describe) == [
        {"ShardId": "e", "ParentShards": ["c", "d"], "HashKeyRange": "e"}
    ]
    assert children(split_and_merged, "e", describe) == []


def test_a_closed_shard_is_removed_after_the_retention_period(split_and_merged: dict[str, Any]) -> None:
    forget_expired(split_and_merged, 34 * HOUR)
    assert list(split_and_merged["shards"]) == ["a", "d", "b", "c", "e"]
    forget_expired(split_and_merged, 34 * HOUR + 1)
    assert list(split_and_merged["shards"]) == ["d", "b", "c", "e"]
    forget_expired(split_and_merged, 1000 * HOUR)
    assert list(split_and_merged["shards"]) == ["b", "e"]
