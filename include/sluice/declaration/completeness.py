"""When a dropped partition is complete, as a user declares it.

Each of these classes names the one that decides it (:class:`sluice.sources.drops.completeness.Rule`), so there is no
list of kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from sluice.declaration.checks import check_count, check_duration, check_text
from sluice.errors import DeclarationError

_MOST_OBJECTS = 1_000_000


@dataclass(frozen=True)
class Completeness:
    """The base of all rules.

    Attributes:
        rule: ``"module:Class"`` of what decides. It is imported only when it is used.
    """

    rule: ClassVar[str]


@dataclass(frozen=True)
class Named(Completeness):
    """The base of rules for which the sender writes one more object last.

    Raises:
        DeclarationError: the name is empty, or has a slash.
    """

    name: str

    def __post_init__(self) -> None:
        check_text("drops", "complete", self.name, "_SUCCESS")
        if "/" in self.name:
            raise DeclarationError(f"drops: the marker {self.name!r} must have no slash in its name")


@dataclass(frozen=True)
class Marker(Named):
    """A partition is complete once its folder has an object of this name.

    Args:
        name: The name of the object, without a slash. The default is what Hadoop and Spark write.
    """

    rule: ClassVar[str] = "sluice.sources.drops.completeness:MarkerRule"

    name: str = "_SUCCESS"


@dataclass(frozen=True)
class RootMarker(Named):
    """Every partition that has objects is complete once the prefix of the drops itself has an object of this name.

    Spark writes one marker for a whole dataset if it partitions by column. It says nothing of what is written later:
    an overwritten or a new partition counts at once.

    Args:
        name: The name of the object, without a slash.
    """

    rule: ClassVar[str] = "sluice.sources.drops.completeness:RootMarkerRule"

    name: str = "_SUCCESS"


@dataclass(frozen=True)
class ManifestFile(Named):
    """A partition is complete once its folder has a manifest, and all objects that it names, with their sizes.

    The manifest is JSON: ``{"files": [{"name": "a.csv", "size": 123, "sha256": "…"}]}``. The name is relative to the
    folder of the partition. ``size`` in bytes and ``sha256`` in hexadecimal digits may be left out. What the manifest
    does not name is no part of the drop. A digest is checked when the object lands.

    Args:
        name: The name of the manifest, without a slash.
    """

    rule: ClassVar[str] = "sluice.sources.drops.completeness:ManifestRule"

    name: str = "_manifest.json"


@dataclass(frozen=True)
class ObjectCount(Completeness):
    """A partition is complete once it has so many objects with rows.

    A writer may replace an object after that; the partition then gets a new revision.

    Args:
        least: How many, from 1 to 1,000,000.

    Raises:
        DeclarationError: ``least`` is out of its range.
    """

    rule: ClassVar[str] = "sluice.sources.drops.completeness:CountRule"

    least: int

    def __post_init__(self) -> None:
        check_count("drops", "least", self.least, 1, _MOST_OBJECTS)


@dataclass(frozen=True)
class Unchanged(Completeness):
    """A partition is complete once the names, sizes and ETags of its objects have been the same for so long.

    The time begins with the first look at a partition. A sender that pauses for longer seems to be done.

    Args:
        duration: How long, in whole seconds from one minute to a day.

    Raises:
        DeclarationError: ``duration`` is out of its range.
    """

    rule: ClassVar[str] = "sluice.sources.drops.completeness:UnchangedRule"

    duration: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        check_duration("drops", "duration", self.duration, timedelta(minutes=1), timedelta(days=1))
