"""The connector of drops, which are complete once their marker exists. The transform lands them."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress

from typing_extensions import override

from sluice.aws.template import Fragment, Statement, lake_arn
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Drops
from sluice.errors import SluiceError
from sluice.lake.manifests import Size, digest_of
from sluice.lake.partitions import Partition, of_path
from sluice.sources.contract import Connector, Contents
from sluice.sources.drops.land import is_complete, land_drop

_FOLDER = re.compile(r"dt=[^/]+(?:/hour=[^/]+)?(?=/)")


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
        """Return why a drop is not complete. It is complete once its marker exists or it has landed."""
        if is_complete(self.lake, self.source, partition):
            return None
        return f"no marker under {self.source.prefix}{{partition}}/"

    @override
    def contents(self, partition: Partition | None = None) -> Contents:
        """Return digests of the dropped objects, or of what has landed if the sender has removed them since."""
        return {**super().contents(partition), **self._dropped(partition)}

    def _dropped(self, partition: Partition | None) -> Contents:
        prefix, every = self.source.prefix, self.workspace.pipeline.every
        by_partition: dict[Partition, list[str]] = defaultdict(list)
        for key, _, etag in self.lake.objects(prefix if partition is None else f"{prefix}{partition.key}/"):
            found = of_path(key.removeprefix(prefix), every)
            if found is not None:
                by_partition[found].extend((key, etag))
        return {each: digest_of(objects) for each, objects in by_partition.items()}

    @override
    def size(self, partition: Partition) -> Size:
        """Return how much was dropped, or has landed if the sender has removed it since. Rows are not counted."""
        dropped = sum(size for _, size, _ in self.lake.objects(f"{self.source.prefix}{partition.key}/"))
        return Size(dropped) if dropped else super().size(partition)

    @override
    def partitions(self) -> set[Partition]:
        """Return the partitions that have landed or have a folder of drops. Folders with other names are ignored."""
        prefix = self.source.prefix
        matches = (_FOLDER.match(key.removeprefix(prefix)) for key, _, _ in self.lake.objects(prefix))
        found = super().partitions()
        for folder in {match[0] for match in matches if match}:
            with suppress(SluiceError):
                found.add(Partition.parse(folder))
        return found

    @override
    def land(self, partition: Partition) -> bool:
        return land_drop(self.lake, self.source, partition)
