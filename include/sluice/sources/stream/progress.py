"""How far a stream is read: the shards to read now, the backlog, lost shards, and the evidence for closing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sluice.declaration.sources import Stream
from sluice.lake.manifests import earliest
from sluice.lake.store import Lake
from sluice.landing.agreement import agreed
from sluice.landing.closing import Evidence
from sluice.sources.stream.checkpoints import Checkpoint, Gap, advance, of_stream, read_checkpoints
from sluice.sources.stream.read import place_of, warn_of_gap
from sluice.sources.stream.remade import settled_checkpoints
from sluice.sources.stream.shards import KinesisStream, Shard

_PARALLEL_PEEKS = 8


def shards_to_read(stream: KinesisStream, lake: Lake, source: Stream) -> list[str]:
    """Return the ids of the shards that may be read now.

    First it is recorded if the stream was made again, or has gaps of lost shards.

    Args:
        stream: The stream at AWS.
        lake: The lake that holds the checkpoints.
        source: The declared stream.

    Raises:
        MissingResource: there is no such stream.
    """
    created = stream.retention(lake.now()).created
    settled_checkpoints(stream, lake, source.name, created)
    note_lost_shards(stream, lake, source)
    checkpoints = of_stream(read_checkpoints(lake, source.name), created)
    return [shard.id for shard in readable_shards(stream, checkpoints)]


def _checkpoints(stream: KinesisStream, lake: Lake, source: Stream) -> Mapping[str, Checkpoint]:
    return of_stream(read_checkpoints(lake, source.name), stream.retention(lake.now()).created)


def readable_shards(stream: KinesisStream, checkpoints: Mapping[str, Checkpoint]) -> list[Shard]:
    """Return the shards that may be read: they are not read to their end, and each parent is, or is gone.

    Args:
        stream: The stream at AWS.
        checkpoints: The checkpoints of the source, by shard id.
    """
    return _readable(stream.list_shards(), checkpoints)


def _readable(shards: Sequence[Shard], checkpoints: Mapping[str, Checkpoint]) -> list[Shard]:
    unfinished = {shard.id for shard in shards if not _ended(shard.id, checkpoints)}
    return [shard for shard in shards if shard.id in unfinished and unfinished.isdisjoint(shard.parents)]


def _ended(shard: str, checkpoints: Mapping[str, Checkpoint]) -> bool:
    return shard in checkpoints and checkpoints[shard].ended


def stream_backlog(stream: KinesisStream, lake: Lake, source: Stream) -> int:
    """Return in how many shards something waits to be read: records, or an end that its children wait for.

    One record of each shard that may be read is read. No checkpoint moves.

    Args:
        stream: The stream at AWS.
        lake: The lake that holds the checkpoints.
        source: The declared stream.
    """
    checkpoints = _checkpoints(stream, lake, source)

    def waits(shard: Shard) -> bool:
        return not shard.is_open or stream.peek(shard.id, place_of(checkpoints.get(shard.id)))

    with ThreadPoolExecutor(_PARALLEL_PEEKS) as pool:
        return sum(pool.map(waits, readable_shards(stream, checkpoints)))


def note_lost_shards(stream: KinesisStream, lake: Lake, source: Stream) -> Mapping[str, Gap]:
    """Record a gap for each shard that the stream has dropped before it was read to its end.

    Args:
        stream: The stream at AWS.
        lake: The lake that holds the checkpoints.
        source: The declared stream.

    Returns:
        The gaps found now, by shard id.
    """
    held = {shard.id for shard in stream.list_shards()}
    retention = stream.retention(lake.now())
    horizon, found = retention.horizon, {}
    for name, checkpoint in of_stream(read_checkpoints(lake, source.name), retention.created).items():
        if name not in held and not checkpoint.ended:
            gap = Gap(since=checkpoint.read_until or horizon, until=max(horizon, checkpoint.read_until or horizon))
            advance(lake, source.name, checkpoint.model_copy(update={"ended": True, "gaps": (*checkpoint.gaps, gap)}))
            warn_of_gap(stream.name, name, gap)
            found[name] = gap
    return found


def evidence_of_stream(stream: KinesisStream, lake: Lake, source: Stream) -> Evidence:
    """Return how far the stream has landed, by its checkpoints, which are exact.

    If nothing waited in any shard when it was last read, everything that was sent before the earliest of these reads
    has landed. Event times agree only as far as the shard that is behind: a fast shard does not close a partition of a
    slow one.

    Args:
        stream: The stream at AWS.
        lake: The lake that holds the checkpoints.
        source: The declared stream.
    """
    checkpoints = _checkpoints(stream, lake, source)
    unfinished = [shard for shard in stream.list_shards() if not _ended(shard.id, checkpoints)]
    read = [checkpoints[shard.id] for shard in unfinished if shard.is_open and shard.id in checkpoints]
    if len(read) < len(unfinished):
        return Evidence(landed_until=None)
    landed = [each.read_until if each.at_tip else None for each in read]
    reached = [each.read_until if each.at_tip else agreed(each.times) for each in read]
    return Evidence(landed_until=_earliest_of_all(landed), reached=_earliest_of_all(reached))


def _earliest_of_all(moments: Sequence[datetime | None]) -> datetime | None:
    """Return the earliest moment; None if one of them is not known."""
    return None if None in moments else earliest(moments)
