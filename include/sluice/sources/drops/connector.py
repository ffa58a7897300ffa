"""The connector of drops, which are complete by the rule that they declare. The transform lands them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from typing_extensions import override

from sluice.aws.template import Fragment, Statement, lake_arn
from sluice.declaration.drops import Drops
from sluice.declaration.pipeline import Pipeline
from sluice.lake.look import Look
from sluice.lake.manifests import Size, digest_of
from sluice.lake.partitions import Partition
from sluice.sources.contract import Connector, Contents, reasons
from sluice.sources.drops.completeness import rule_of, why_incomplete
from sluice.sources.drops.land import is_unlanded, land_drops
from sluice.sources.drops.listing import Listing, list_all_drops, list_drops


class DropsConnector(Connector[Drops]):
    """Objects that another system writes, in one folder of the bucket for each partition."""

    @classmethod
    @override
    def template(cls, pipeline: Pipeline, source: Drops) -> Fragment:
        """Allow the workers to read the drops. No resource is needed.

        Args:
            pipeline: The pipeline that declares the source.
            source: The declared drops.
        """
        dropped = lake_arn(pipeline.name, f"/{source.prefix}*")
        return Fragment(statements=(Statement("ReadTheLake", ("s3:GetObject",), (dropped,)),))

    @override
    def incomplete(self, partitions: Collection[Partition]) -> Mapping[Partition, str]:
        """Return why drops are not complete. One is complete by its declared rule, or once it has landed."""
        listing = list_drops(self.lake, self.source, partitions)
        return reasons(partial(why_incomplete, listing), partitions)

    @override
    def contents(self, partitions: Collection[Partition] | None = None) -> Contents:
        """Return digests of the dropped files, or of what has landed if the sender has removed them since."""
        dropped = {
            partition: digest_of([name for each in objects if each.holds_rows for name in (each.key, each.etag)])
            for partition, objects in self._listed(partitions).objects.items()  # a marker alone counts, too
        }
        return {**super().contents(partitions), **dropped}

    def _listed(self, partitions: Collection[Partition] | None) -> Listing:
        if partitions is None:
            return list_all_drops(self.lake, self.source)
        return list_drops(self.lake, self.source, partitions)

    @override
    def sizes(self, partitions: Collection[Partition], look: Look) -> Mapping[Partition, Size]:
        """Return how much was dropped, or has landed if the sender has removed it since. Rows are not counted."""
        listing = list_drops(self.lake, self.source, partitions)
        dropped = {each: Size(sum(file.size for file in listing.rows(each))) for each in partitions}
        removed = [each for each, size in dropped.items() if not size.bytes]
        return {**dropped, **super().sizes(removed, look)}

    @override
    def partitions(self) -> set[Partition]:
        """Return the partitions that have landed, or have dropped files or a marker."""
        return super().partitions() | set(self._listed(None).objects)

    @override
    def unlanded(self, look: Look) -> set[Partition]:
        listing = self._listed(None)
        look.read_manifests((self.dataset, each) for each in listing.objects)
        return {
            each for each in listing.objects if is_unlanded(rule_of(listing, each), look.manifest(self.dataset, each))
        }

    @override
    def land(self, partitions: Collection[Partition]) -> int:
        return land_drops(self.lake, self.source, partitions)
