"""The shards of a stream that is split or merged: parents are closed and kept, children follow.

Restores: a parent is OPEN, then CLOSED, then EXPIRED. The released emulator drops the parents, with the records that
are not read yet.

Source: Amazon Kinesis Data Streams Developer Guide, "After resharding" (data routing, data persistence, shard state).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NotRequired, TypedDict


class Record(TypedDict):
    """A record, of which this member is used."""

    SequenceNumber: str


class Shard(TypedDict):
    """A shard of the emulator's; a closed one has an end, and the time of its closing in seconds since the epoch."""

    records: list[Record]
    starting_hash_key: str
    ending_hash_key: str
    starting_sequence_number: str
    ending_sequence_number: NotRequired[str]
    closed_at: NotRequired[float]
    parent_shard_id: str | None
    adjacent_parent_shard_id: str | None


class Stream(TypedDict):
    """A stream of the emulator's, with its shards by id."""

    StreamName: str
    StreamARN: str
    RetentionPeriodHours: int
    shards: dict[str, Shard]


class DescribedShard(TypedDict):
    """A shard as ListShards describes it, as far as it is read."""

    HashKeyRange: dict[str, str]
    SequenceNumberRange: dict[str, str]


class ChildShard(TypedDict):
    """A child in GetRecords' answer."""

    ShardId: str
    ParentShards: list[str]
    HashKeyRange: dict[str, str]


def is_open(shard: Shard) -> bool:
    """Return whether the shard takes new records."""
    return "ending_sequence_number" not in shard


def open_shards(stream: Stream) -> dict[str, Shard]:
    """Return the open shards by id, in the order of their creation."""
    return {name: shard for name, shard in stream["shards"].items() if is_open(shard)}


def shard_for(hash_key: int, stream: Stream) -> str:
    """Return the id of the open shard whose range has the hash key; each key is in one range.

    Args:
        hash_key: From 0 to 2**128 - 1.
        stream: The emulator's stream.

    Raises:
        ValueError: No open shard has the key.
    """
    for name, shard in open_shards(stream).items():
        if int(shard["starting_hash_key"]) <= hash_key <= int(shard["ending_hash_key"]):
            return name
    raise ValueError(f"no open shard of {stream['StreamName']} takes the hash key {hash_key}")


def why_foreign(number: str | None, name: str, stream: Stream) -> str | None:
    """Return why a sequence number can't be one of a shard: it is older than the shard; None if it can.

    Args:
        number: The sequence number; None if a request has none.
        name: The id of the shard.
        stream: The emulator's stream.
    """
    shard = stream["shards"].get(name)
    if number is None or shard is None or int(number) >= int(shard["starting_sequence_number"]):
        return None
    return (
        f"StartingSequenceNumber {number} used on shard {name} in stream {stream['StreamName']} is invalid because it "
        f"did not come from this stream."
    )


def close_parents(stream: Stream, before: Mapping[str, Shard], ending_sequence_number: str, now: float) -> None:
    """Put the shards that a split or a merge has removed back into the stream, as closed ones.

    Args:
        stream: The stream after the split or merge.
        before: Its shards before, by id.
        ending_sequence_number: A number after the last record of the parents and before the first of the children.
        now: The time of the split or merge, in seconds since the epoch.
    """
    children = {name: shard for name, shard in stream["shards"].items() if name not in before}
    for name, shard in before.items():
        if name not in stream["shards"]:
            shard["ending_sequence_number"] = ending_sequence_number
            shard["closed_at"] = now
    stream["shards"] = {**before, **children}


def forget_expired(stream: Stream, now: float) -> None:
    """Remove the closed shards whose records are all older than the retention period.

    Args:
        stream: The emulator's stream.
        now: The time in seconds since the epoch.
    """
    oldest = now - stream["RetentionPeriodHours"] * 3600
    for name, shard in list(stream["shards"].items()):
        if not is_open(shard) and shard["closed_at"] < oldest:
            del stream["shards"][name]


def children(stream: Stream, parent: str, describe: Callable[[str, Shard], DescribedShard]) -> list[ChildShard]:
    """Return the ChildShards of GetRecords at the end of a closed shard.

    Args:
        stream: The emulator's stream.
        parent: The id of the closed shard.
        describe: Returns a shard, given with its id, as ListShards describes it.
    """
    found = list[ChildShard]()
    for name, shard in stream["shards"].items():
        parents = [each for each in (shard["parent_shard_id"], shard["adjacent_parent_shard_id"]) if each]
        if parent in parents:
            hash_keys = describe(name, shard)["HashKeyRange"]
            found.append({"ShardId": name, "ParentShards": parents, "HashKeyRange": hash_keys})
    return found
