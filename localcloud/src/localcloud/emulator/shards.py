"""What becomes of the shards of a stream that is split or merged: parents are closed and kept, children follow.

Restores: a parent is OPEN, then CLOSED, then EXPIRED. A stream and its shards are dictionaries of the emulator's. As
released, the emulator throws the parents away, and the records that nobody has read yet with them.

Source: Amazon Kinesis Data Streams Developer Guide, "After resharding" (data routing, data persistence, shard state).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Stream = dict[str, Any]
Shard = dict[str, Any]


def is_open(shard: Shard) -> bool:
    return "ending_sequence_number" not in shard


def open_shards(stream: Stream) -> dict[str, Shard]:
    """By id, in the order in which they were made."""
    return {name: shard for name, shard in stream["shards"].items() if is_open(shard)}


def shard_for(hash_key: int, stream: Stream) -> str:
    """The open shard whose range holds the hash key; open ranges cover every key, and none twice."""
    for name, shard in open_shards(stream).items():
        if int(shard["starting_hash_key"]) <= hash_key <= int(shard["ending_hash_key"]):
            return name
    raise ValueError(f"no open shard of {stream['StreamName']} takes the hash key {hash_key}")


def close_parents(stream: Stream, before: Mapping[str, Shard], ending_sequence_number: str, now: float) -> None:
    """Put back, as closed, the shards that a split or a merge has taken out of what the stream had ``before``.

    ``ending_sequence_number`` lies between the last record of the parents and the first of the children.
    """
    children = {name: shard for name, shard in stream["shards"].items() if name not in before}
    for name, shard in before.items():
        if name not in stream["shards"]:
            shard |= {"ending_sequence_number": ending_sequence_number, "closed_at": now}
    stream["shards"] = {**before, **children}


def forget_expired(stream: Stream, now: float) -> None:
    """A closed shard is gone once all that it may have held is older than the retention period."""
    oldest = now - stream["RetentionPeriodHours"] * 3600
    for name, shard in list(stream["shards"].items()):
        if not is_open(shard) and shard["closed_at"] < oldest:
            del stream["shards"][name]


def children(stream: Stream, parent: str, describe: Callable[[str, Shard], dict[str, Any]]) -> list[dict[str, Any]]:
    """What GetRecords tells at the end of a closed shard; ``describe`` gives a shard as ListShards does."""
    found = []
    for name, shard in stream["shards"].items():
        parents = [each for each in (shard["parent_shard_id"], shard["adjacent_parent_shard_id"]) if each]
        if parent in parents:
            hash_keys = describe(name, shard)["HashKeyRange"]
            found.append({"ShardId": name, "ParentShards": parents, "HashKeyRange": hash_keys})
    return found
