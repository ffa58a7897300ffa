"""How far a stream is read: which shards may be read now, whether anything waits, what is lost, what can be closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from sluice.declaration.sources import Stream
from sluice.lake.store import Lake
from sluice.landing.closing import Evidence
from sluice.sources.stream.checkpoints import Checkpoint, Gap, advance, read_checkpoints
from sluice.sources.stream.read import place_of, warn_of_gap
from sluice.sources.stream.shards import Shard, list_shards, peek, retention

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

_LOOKS = 8  # side by side


def shards_to_read(kinesis: KinesisClient, stream: str, lake: Lake, source: Stream) -> list[str]:
    """The ids of the shards that may be read now, once what is lost is noted.

    Raises:
        MissingResource: there is no such stream.
    """
    note_lost_shards(kinesis, stream, lake, source)
    return [shard.id for shard in readable_shards(kinesis, stream, read_checkpoints(lake, source.name))]


def readable_shards(kinesis: KinesisClient, stream: str, checkpoints: Mapping[str, Checkpoint]) -> list[Shard]:
    """The shards that may be read: not read to their end yet, and each parent is, or is gone."""
    return _readable(list_shards(kinesis, stream), checkpoints)


def _readable(shards: Sequence[Shard], checkpoints: Mapping[str, Checkpoint]) -> list[Shard]:
    waited_for = {shard.id for shard in shards if not _ended(shard.id, checkpoints)}
    return [shard for shard in shards if shard.id in waited_for and waited_for.isdisjoint(shard.parents)]


def _ended(shard: str, checkpoints: Mapping[str, Checkpoint]) -> bool:
    return shard in checkpoints and checkpoints[shard].ended


def stream_backlog(kinesis: KinesisClient, stream: str, lake: Lake, source: Stream) -> int:
    """In how many shards something waits to be read: records, or an end behind which there are children.

    One read of one record in each shard that may be read; nothing is taken, no checkpoint moves.
    """
    checkpoints = read_checkpoints(lake, source.name)

    def waits(shard: Shard) -> bool:
        return not shard.is_open or peek(kinesis, stream, shard.id, place_of(checkpoints.get(shard.id)))

    with ThreadPoolExecutor(_LOOKS) as pool:
        return sum(pool.map(waits, readable_shards(kinesis, stream, checkpoints)))


def note_lost_shards(kinesis: KinesisClient, stream: str, lake: Lake, source: Stream) -> Mapping[str, Gap]:
    """Record the gap of each shard that the stream has dropped before it was read to its end; those found now."""
    held = {shard.id for shard in list_shards(kinesis, stream)}
    horizon = retention(kinesis, stream, lake.now()).horizon
    found = {}
    for name, checkpoint in read_checkpoints(lake, source.name).items():
        if name not in held and not checkpoint.ended:
            gap = Gap(since=checkpoint.read_until or horizon, until=max(horizon, checkpoint.read_until or horizon))
            advance(lake, source.name, checkpoint.model_copy(update={"ended": True, "gaps": (*checkpoint.gaps, gap)}))
            warn_of_gap(stream, name, gap)
            found[name] = gap
    return found


def evidence_of_stream(kinesis: KinesisClient, stream: str, lake: Lake, source: Stream) -> Evidence:
    """What the checkpoints say of how far the stream has landed.

    The stream is drained if nothing waited in any shard when it was last read. Where the wall clock would count,
    the moment counts up to which every shard is read. A shard in which something waits holds the watermark back to the
    highest event time that it has given, so that a fast shard does not close what a slow one still brings.
    """
    checkpoints = read_checkpoints(lake, source.name)
    waiting = [shard for shard in list_shards(kinesis, stream) if not _ended(shard.id, checkpoints)]
    bounds = [moment for shard in waiting for moment in _bounds(shard, checkpoints) if moment is not None]
    return Evidence(
        is_drained=bool(waiting) and all(_at_tip(shard, checkpoints) for shard in waiting),
        no_later_than=min(bounds, default=None),
    )


def _bounds(shard: Shard, checkpoints: Mapping[str, Checkpoint]) -> Iterator[datetime | None]:
    """What the watermark must not pass, for this shard's sake; by its parents as long as it was never read itself."""
    for name in [shard.id] if shard.id in checkpoints else shard.parents:
        if name in checkpoints:
            yield checkpoints[name].read_until
            if not _at_tip(shard, checkpoints):
                yield checkpoints[name].last_event_time


def _at_tip(shard: Shard, checkpoints: Mapping[str, Checkpoint]) -> bool:
    return shard.is_open and shard.id in checkpoints and checkpoints[shard.id].at_tip
