"""Splits the partitions of a run into chunks, one for each mapped task: the size of a task follows its work.

The chunks of a run hold about equal work, so that tasks which start together end together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby

from sluice.lake.look import Look
from sluice.lake.manifests import Size
from sluice.lake.partitions import Partition, format_ranges
from sluice.sources.connecting import connect
from sluice.steps.outlook import outlook
from sluice.workspace import Workspace

# The work of a partition is counted in bytes. A small row takes as long as this many stored bytes.
ROW = 2**8
# A partition takes at least as long as this many bytes, because its manifests are read and written.
PARTITION = 2**16
# One of which no source has anything is only looked for.
GAP = 2**10
# A step takes about as long for this much work as its task takes to start: larger chunks use fewer workers, and smaller
# ones waste more than half of their time.
TARGET = 2**24
# A range of hours takes 48 bytes in a list. So the chunks of a run are below 4 KiB of XCom (P11), and its mapped tasks
# far below Airflow's 1,024. The chunks of a longer range are larger.
MOST = 80


def chunks_by_size(sizes: Mapping[Partition, Size], target: int = TARGET) -> list[str]:
    """Split partitions into at most ``MOST`` chunks of about equal work.

    Args:
        sizes: How much each partition holds, of all sources together. The keys are neighbours, in order.
        target: How much work a chunk should have.

    Returns:
        The chunks, each as a range. Together they have every partition once, in order. A chunk has about ``target``,
        or more if there would be too many chunks, or if one partition has more.
    """
    work = [max(size.bytes, size.rows * ROW, PARTITION if size.bytes else GAP) for size in sizes.values()]
    total = sum(work)
    count = min(MOST, -(-total // target))
    # A partition belongs to the chunk in which the middle of its work lies.
    places = ((2 * end - own) * count // (2 * total) for end, own in zip(accumulate(work), work, strict=True))
    chunks = groupby(zip(places, sizes, strict=True), key=lambda placed: placed[0])
    return [format_ranges(partition for _, partition in chunk) for _, chunk in chunks]


def chunks_of_run(workspace: Workspace, partitions: Sequence[Partition]) -> list[str]:
    """Return the partitions of a run in chunks, as :func:`chunks_by_size` makes them.

    A partition for which there is nothing to land or to make counts as a small one, so that a run in which little has
    changed has few tasks.

    Args:
        workspace: The pipeline that declares the sources and steps.
        partitions: Neighbours, in order.

    Raises:
        DeclarationError: the code of a step does not exist, or the lake is divided otherwise than is declared.
    """
    connectors, look = [connect(workspace, source) for source in workspace.pipeline.sources], Look(workspace.lake)
    sizes = dict.fromkeys(partitions, Size())
    for connector in connectors:
        for partition, size in connector.sizes(partitions, look).items():
            sizes[partition] += size
    chunks = chunks_by_size(sizes)
    if len(chunks) < 2:
        return chunks
    busy = {each.partition for each in outlook(workspace, partitions, look=look) if each.verdict in ("runs", "may run")}
    busy.update(*(connector.unlanded(look) for connector in connectors))
    look.copy_manifests()  # each task reads some of them
    return chunks_by_size({each: size if each in busy else _little(size) for each, size in sizes.items()})


def _little(size: Size) -> Size:
    """Return the size of a partition of which only the manifests are read."""
    return Size(PARTITION) if size.bytes else size
