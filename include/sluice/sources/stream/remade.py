"""Recognises a stream that was deleted and made again under its name, and begins at its first record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from sluice.lake.manifests import latest
from sluice.lake.store import Lake
from sluice.sources.stream.checkpoints import Checkpoint, advance, of_stream, owner_of_unnamed, read_checkpoints
from sluice.sources.stream.shards import KinesisStream

_LOG = logging.getLogger(__name__)


def settled_checkpoints(stream: KinesisStream, lake: Lake, source: str, created: datetime) -> Mapping[str, Checkpoint]:
    """Return the checkpoints of the stream as it is now, by shard id.

    Checkpoints that do not name their stream are given its name. If there are only checkpoints of an earlier stream,
    that is logged as a warning, and each shard gets a checkpoint at its first record. Those of the earlier stream stay
    where the new one has no such shard, and are not used.

    Args:
        stream: The stream at AWS.
        lake: The lake that holds the checkpoints.
        source: The name of the source.
        created: When the stream was made (UTC).

    Raises:
        MissingResource: there is no such stream.
    """
    kept = read_checkpoints(lake, source)
    unnamed = {"stream_created": owner_of_unnamed(kept.values(), created)}
    for checkpoint in kept.values():
        if checkpoint.stream_created is None:
            advance(lake, source, checkpoint.model_copy(update=unnamed))
    current = of_stream(kept, created)
    if kept and not current:
        _begin_again(stream, lake, source, kept, created)
        return of_stream(read_checkpoints(lake, source), created)
    return current


def _begin_again(
    stream: KinesisStream, lake: Lake, source: str, earlier: Mapping[str, Checkpoint], created: datetime
) -> None:
    before = latest(each.stream_created for each in earlier.values()) or created
    _LOG.warning(
        "stream %s was deleted and made again: the checkpoints are of the one made at %s, and this one was made at %s; "
        "it is read from its first record; have what was on the earlier one and did not land sent again",
        *(stream.name, before.isoformat(), created.isoformat()),
    )
    for shard in stream.list_shards():
        advance(lake, source, Checkpoint(shard=shard.id, stream_created=created))
