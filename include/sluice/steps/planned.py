"""One partition of a step: what it reads, what it was made from, and whether it has to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sluice.lake.manifests import Manifest
from sluice.lake.partitions import Partition
from sluice.steps.before import Before
from sluice.steps.ids.index import NO_KEY_FILE, KeyFile
from sluice.steps.lacking import Awaited, Found

ABSENT = "absent"  # in place of the digest of an input that is not there


@dataclass(frozen=True)
class Planned:
    """One partition of a step, as the lake was when it was read.

    Attributes:
        partition: The partition.
        found: The manifest of each input, and of how many partitions earlier, negative for later; None if there is
            none.
        read: The digest of each dataset that it reads, by ``dataset/partition key``.
        current: The manifest of the step's own output; None before its first run.
        code: The fingerprint of the step's code.
        lacks: What the step has to wait for; empty if it can run.
        ids: What of the ids of all partitions counts as an input; empty for a step that does not compare them.
        key_file: The file that has the partition's own ids.
        before: The state before it; None if there is none, as for the first partition and for a step without state.
        follows: Whether no run asks for it, but may change an input of it. Other code alone is no reason to make it.
    """

    partition: Partition
    found: Found
    read: Mapping[str, str]
    current: Manifest | None
    code: str
    lacks: tuple[Awaited, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)
    key_file: KeyFile = NO_KEY_FILE
    before: Before | None = None
    follows: bool = False

    @property
    def inputs(self) -> Mapping[str, str]:
        """The digest of each input, as a manifest has it."""
        state = {} if self.before is None else {self.before.key: self.before.digest or ABSENT}
        return {**self.read, **self.ids, **state}

    @property
    def made(self) -> Manifest | None:
        """The manifest of the output if it was made from these inputs by this code; else None."""
        current = self.current
        if current is None or current.inputs != self.inputs:
            return None
        return current if self.follows or current.code == self.code else None

    def after(self, made: Mapping[Partition, Manifest]) -> Planned:
        """Return it with the state before it as it is now.

        Args:
            made: The manifests of the partitions that the run has made until now.
        """
        before = self.before
        if before is None or before.partition not in made:
            return self
        return replace(self, before=replace(before, manifest=made[before.partition]))

    @property
    def unread(self) -> list[Manifest]:
        """The manifests of inputs from whose present content the output was not made."""
        read = {} if self.current is None else self.current.inputs
        unread = [
            manifest
            for manifest in self.found.values()
            if manifest is not None and read.get(f"{manifest.dataset}/{manifest.partition}") != manifest.digest
        ]
        before = self.before
        if before is not None and before.manifest is not None and read.get(before.key) != before.digest:
            unread.append(before.manifest)
        return unread

    @property
    def size(self) -> int:
        """The bytes of all objects that the step reads."""
        state = 0 if self.before is None or self.before.file is None else self.before.file.size
        return state + sum(
            file.size for manifest in self.found.values() if manifest is not None for file in manifest.files
        )

    @property
    def own_size(self) -> int:
        """The bytes of those of its own time."""
        return sum(file.size for manifest in self.own if manifest is not None for file in manifest.files)

    @property
    def own(self) -> list[Manifest | None]:
        """The manifests of its own time."""
        return [manifest for (_, n), manifest in self.found.items() if n == 0]

    @property
    def rows(self) -> int:
        """How many rows the step reads of this partition, without those of others."""
        return sum(manifest.rows_out for manifest in self.own if manifest is not None)


# Partitions that one call of the step's function makes.
Span: TypeAlias = tuple[Planned, ...]
