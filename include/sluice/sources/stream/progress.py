"""How far a stream is read: the shards to read now, the backlog, lost shards, and the evidence for closing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sluice.declaration.sources import Stream
from sluice.lake.store import Lake
from sluice.landing.closing import Evidence
from sluice.sources.stream.checkpoints import Checkpoint, Gap, advance, read_checkpoints
from sluice.sources.stream.read import place_of, warn_of_gap
from sluice.sources.stream.shards import KinesisStream, Shard

_PARALLEL_PEEKS = 8


def shards_to_read(stream: KinesisStream, lake: Lake, source: Stream) -> list[str]:
    """Return the ids of the shards that may be read now. Gaps of lost shards are recorded first.

    Args:
        stream: The stream at AWS.
        lake: The lake that holds the checkpoints.
        source: The declared stream.

    Raises:
        MissingResource: there is no such stream.
    """
    note_lost_shards(stream, lake, source)
    return [shard.id for shard in readable_shards(stream, read_checkpoints(lake, source.name))]


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
    checkpoints = read_checkpoints(lake, source.name)

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
    horizon = stream.retention(lake.now()).horizon
    found = {}
    for name, checkpoint in read_checkpoints(lake, source.name).items():
        if name not in held and not checkpoint.ended:
            gap = Gap(since=checkpoint.read_until or horizon, until=max(horizon, checkpoint.read_until or horizon))
            advance(lake, source.name, checkpoint.model_copy(update={"ended": True, "gaps": (*checkpoint.gaps, gap)}))
            warn_of_gap(stream.name, name, gap)
            found[name] = gap
    return found


def evidence_of_stream(stream: KinesisStream, lake: Lake, source: Stream) -> Evidence:
    """Return how far the stream has landed, by its checkpoints.

    The stream is drained if nothing waited in any shard when it was last read. Its watermark then follows the moment up
    to which every shard is read, instead of the wall clock. A shard in which something waits bounds the watermark by
    the highest event time read from it. So a fast shard does not close a partition of a slow one.

    Args:
        stream: The stream at AWS.
        lake: The lake that holds the checkpoints.
        source: The declared stream.
    """
    checkpoints = read_checkpoints(lake, source.name)
    waiting = [shard for shard in stream.list_shards() if not _ended(shard.id, checkpoints)]
    bounds = [moment for shard in waiting for moment in _bounds(shard, checkpoints) if moment is not None]
    return Evidence(
        is_drained=bool(waiting) and all(_at_tip(shard, checkpoints) for shard in waiting),
        no_later_than=min(bounds, default=None),
    )


def _bounds(shard: Shard, checkpoints: Mapping[str, Checkpoint]) -> Iterator[datetime | None]:
    """Yield the bounds that a shard sets for the watermark. If it was never read, its parents set them."""
    for name in [shard.id] if shard.id in checkpoints else shard.parents:
        if name in checkpoints:
            yield checkpoints[name].read_until
            if not _at_tip(shard, checkpoints):
                yield checkpoints[name].last_event_time


def _at_tip(shard: Shard, checkpoints: Mapping[str, Checkpoint]) -> bool:
    return shard.is_open and shard.id in checkpoints and checkpoints[shard.id].at_tip
