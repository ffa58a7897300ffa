"""The period of a partition: its year, or its month if it is an hour.

What the lake keeps of many partitions is one object a period: one call reads hundreds, and few runs write the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from sluice.lake.partitions import Partition


def by_period(partitions: Iterable[Partition]) -> Mapping[str, list[Partition]]:
    """Return partitions by their period, such as ``2013``, or ``2013-01`` for hours.

    Args:
        partitions: The partitions. Those of a period keep their order.
    """
    found = defaultdict[str, list[Partition]](list)
    for each in partitions:
        year, month, _ = each.date.isoformat().split("-")
        found[f"{year}-{month}" if each.calendar.every == "hour" else year].append(each)
    return found
