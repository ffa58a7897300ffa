"""The connector of drops, which are complete by the rule that they declare. The transform lands them."""

from __future__ import annotations

from collections import defaultdict

from typing_extensions import override

from sluice.aws.template import Fragment, Statement, lake_arn
from sluice.declaration.drops import Drops
from sluice.declaration.pipeline import Pipeline
from sluice.lake.look import Look
from sluice.lake.manifests import Size, digest_of
from sluice.lake.partitions import Partition
from sluice.sources.contract import Connector, Contents
from sluice.sources.drops.completeness import why_incomplete
from sluice.sources.drops.land import is_unlanded, land_drop
from sluice.sources.drops.listing import Dropped, all_dropped, dropped, of_partition


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
    def why_incomplete(self, partition: Partition) -> str | None:
        """Return why a drop is not complete. It is complete by its declared rule, or once it has landed."""
        return why_incomplete(self.lake, self.source, partition)

    @override
    def contents(self, partition: Partition | None = None) -> Contents:
        """Return digests of the dropped files, or of what has landed if the sender has removed them since."""
        return {**super().contents(partition), **self._dropped(partition)}

    def _dropped(self, partition: Partition | None) -> Contents:
        by_partition: dict[Partition, list[str]] = defaultdict(list)
        every = self.workspace.pipeline.every
        listed = (
            all_dropped(self.lake, self.source, every)
            if partition is None
            else of_partition(self.lake, self.source, partition)
        )
        for found, each in listed:
            by_partition[found].extend((each.key, each.etag) if each.holds_rows else ())  # a marker alone counts, too
        return {each: digest_of(objects) for each, objects in by_partition.items()}

    @override
    def size(self, partition: Partition) -> Size:
        """Return how much was dropped, or has landed if the sender has removed it since. Rows are not counted."""
        size = sum(each.size for each in dropped(self.lake, self.source, partition))
        return Size(size) if size else super().size(partition)

    @override
    def partitions(self) -> set[Partition]:
        """Return the partitions that have landed, or have dropped files or a marker."""
        return super().partitions() | {
            found for found, _ in all_dropped(self.lake, self.source, self.workspace.pipeline.every)
        }

    @override
    def unlanded(self, look: Look) -> set[Partition]:
        by_partition: dict[Partition, list[Dropped]] = defaultdict(list)
        for partition, each in all_dropped(self.lake, self.source, self.workspace.pipeline.every):
            by_partition[partition].extend([each] if each.holds_rows else ())  # a marker alone counts, too
        look.read_manifests((self.dataset, each) for each in by_partition)
        landed = {each: look.manifest(self.dataset, each) for each in by_partition}
        return {
            partition
            for partition, files in by_partition.items()
            if (manifest := landed[partition]) is None
            or is_unlanded(self.lake, self.source, partition, files, manifest)
        }

    @override
    def land(self, partition: Partition) -> bool:
        return land_drop(self.lake, self.source, partition)
