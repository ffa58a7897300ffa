"""Decides whether a dropped partition is complete, by the rule that its source declares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import override

from sluice.declaration.drops import Drops
from sluice.declaration.references import imported
from sluice.errors import SluiceError
from sluice.lake.layout import raw_dataset
from sluice.lake.manifests import digest_of
from sluice.lake.partitions import Partition
from sluice.lake.store import Lake
from sluice.sources.drops.listing import Dropped, Listing, folders


class Listed(BaseModel):
    """One file of a sender's manifest.

    Attributes:
        name: Its name, relative to the folder of the partition.
        size: Its size in bytes; None if the sender does not say.
        sha256: The digest of its content, in hexadecimal digits; None if the sender does not say.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    size: int | None = None
    sha256: str | None = None


class SenderManifest(BaseModel):
    """A manifest that a sender has written: the files of one partition."""

    model_config = ConfigDict(frozen=True)

    files: tuple[Listed, ...]


class Look(BaseModel):
    """What a partition held when it was looked at, and since when that has not changed.

    Attributes:
        digest: The digest of the names, sizes and ETags.
        since: The first look at which they were the same (UTC).
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    since: datetime


@dataclass(frozen=True)
class Rule(ABC):
    """Decides whether one partition of a drop is complete.

    Attributes:
        listing: What the drops held when they were listed, of this partition at least.
        partition: The partition.
    """

    listing: Listing
    partition: Partition

    @property
    def lake(self) -> Lake:
        """The lake, whose bucket has the drops."""
        return self.listing.lake

    @property
    def source(self) -> Drops:
        """The declared drops."""
        return self.listing.source

    @property
    def declared(self) -> Any:
        """The rule as it is declared: of the class that names this one."""
        return self.source.complete

    @property
    def folder(self) -> str:
        """The folder of the partition, as a reason names it."""
        return f"{self.source.prefix}{{partition}}/"

    @cached_property
    def dropped(self) -> list[Dropped]:
        """The objects of the partition that hold rows."""
        return self.listing.rows(self.partition)

    def named(self, name: str) -> Dropped | None:
        """Return an object directly in the folder of the partition; None if it was not there.

        Args:
            name: The name of the object, such as that of a marker.
        """
        paths = [folder + name for folder in folders(self.partition)]
        found = {each.path: each for each in self.listing.objects.get(self.partition, ())}
        return next((found[path] for path in paths if path in found), None)

    @abstractmethod
    def missing(self) -> str | None:
        """Return what is still missing, where ``{partition}`` stands for the partition's key; None if nothing is."""

    def files(self) -> list[tuple[Dropped, str | None]]:
        """Return the files of the complete drop, with their SHA-256 where the sender says it.

        Raises:
            SluiceError: what the sender says of them can't be parsed.
        """
        return [(each, None) for each in self.dropped]


class MarkerRule(Rule):
    """By a marker in the folder of the partition."""

    @override
    def missing(self) -> str | None:
        name = self.declared.name
        return f"no {name} under {self.folder}" if self.named(name) is None else None


class RootMarkerRule(Rule):
    """By a marker of the whole dataset."""

    @override
    def missing(self) -> str | None:
        if not self.listing.has_root(self.declared.name):
            return f"no {self.declared.name} under {self.source.prefix}"
        return None if self.dropped else f"no files under {self.folder}"


class ManifestRule(Rule):
    """By the sender's manifest: it is there, and the files that it names have their sizes."""

    @override
    def missing(self) -> str | None:
        try:
            listed = self._manifest
        except SluiceError as error:  # no other partition, and no other pipeline, waits for it
            return str(error)
        if listed is None:
            return f"no {self.declared.name} under {self.folder}"
        sizes = {self._name(each): each.size for each in self.dropped}
        for file in listed.files:
            if file.name not in sizes:
                return f"no {file.name}, which the sender's manifest names, under {self.folder}"
            size = sizes[file.name]
            if file.size is not None and file.size != size:
                return f"{self.folder}{file.name} has {size} bytes, the sender's manifest says {file.size}"
        return None

    @override
    def files(self) -> list[tuple[Dropped, str | None]]:
        manifest = self._manifest
        digests = {} if manifest is None else {each.name: each.sha256 for each in manifest.files}
        return [(each, digests[name]) for each in self.dropped if (name := self._name(each)) in digests]

    @cached_property
    def _manifest(self) -> SenderManifest | None:
        """The manifest that the sender has written; None if there is none."""
        found = self.named(self.declared.name)
        body = None if found is None else self.lake.read(found.key)
        return None if found is None or body is None else _parsed(self.lake.uri(found.key), body)

    def _name(self, file: Dropped) -> str:
        """Return the path of a file below the folder of its partition."""
        return next(
            file.path.removeprefix(folder) for folder in folders(self.partition) if file.path.startswith(folder)
        )


class CountRule(Rule):
    """By the number of files."""

    @override
    def missing(self) -> str | None:
        found, least = len(self.dropped), self.declared.least
        return None if found >= least else f"{found} of {least} files under {self.folder}"


class UnchangedRule(Rule):
    """By how long the files have been the same. The lake keeps what was seen first."""

    @override
    def missing(self) -> str | None:
        if not self.dropped:
            return f"no files under {self.folder}"
        digest, now = digest_of([(each.path, each.size, each.etag) for each in self.dropped]), self.lake.now()

        def look(before: Look | None) -> Look:
            lasts = before is not None and before.digest == digest and before.since <= now  # the clock may go back
            return before if before is not None and lasts else Look(digest=digest, since=now)

        since = self.lake.update(self.lake.layout.look(self.source.name, self.partition), Look, look).since
        if now - since >= self.declared.duration:
            return None
        return f"the files under {self.folder} have changed in the last {self.declared.duration}"


def rule_of(listing: Listing, partition: Partition) -> Rule:
    """Return what decides whether a partition of a drop is complete.

    Args:
        listing: What the drops held when they were listed.
        partition: The partition of the drop.

    Raises:
        DeclarationError: the class that the declared rule names can't be imported.
    """
    rule: type[Rule] = imported(listing.source.complete.rule, f"the rule of source {listing.source.name}")
    return rule(listing, partition)


def why_incomplete(listing: Listing, partition: Partition) -> str | None:
    """Return why a drop is not complete, as :meth:`Rule.missing` does; None if it is, or has landed.

    Args:
        listing: What the drops held when they were listed.
        partition: The partition of the drop.

    Raises:
        UnreadableObject: its manifest can't be read. Nothing lands over it.
    """
    landed = listing.lake.manifest(raw_dataset(listing.source.name), partition)
    reason = rule_of(listing, partition).missing()
    return reason if landed is None else None


def _parsed(uri: str, body: bytes) -> SenderManifest:
    try:
        return SenderManifest.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"])) or "the manifest"
        raise SluiceError(
            f"{uri} is no manifest of a drop: {where}: {fault['msg']}; have its sender write "
            f'{{"files": [{{"name": "a.csv", "size": 123}}]}}'
        ) from error
