"""The connector of drops: complete once their marker is there, and landed by the transform."""

from __future__ import annotations

import re
from collections import defaultdict
from contextlib import suppress

from sluice.aws.template import Fragment, Statement, lake_arn
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import Drops
from sluice.errors import SluiceError
from sluice.lake.manifests import digest_of
from sluice.lake.partitions import Partition, of_path
from sluice.sources.contract import Connector, Contents
from sluice.sources.drops.land import is_complete, land_drop

_DROPPED = re.compile(r"dt=[^/]+(?:/hour=[^/]+)?(?=/)")


class DropsConnector(Connector[Drops]):
    """Objects that others write, in one folder of the bucket for each partition."""

    @classmethod
    def template(cls, pipeline: Pipeline, source: Drops) -> Fragment:
        """Allow the workers to read the drops. They need no resource."""
        dropped = lake_arn(pipeline.name, f"/{source.prefix}*")
        return Fragment(statements=(Statement("ReadTheLake", ("s3:GetObject",), (dropped,)),))

    def why_incomplete(self, partition: Partition) -> str | None:
        """A drop is complete once its marker is there, or once it was landed."""
        if is_complete(self.lake, self.source, partition):
            return None
        return f"no marker under {self.source.prefix}{{partition}}/"

    def contents(self, partition: Partition | None = None) -> Contents:
        """Digests of the dropped objects; of what was landed, if the sender has removed them since."""
        return {**super().contents(partition), **self._dropped(partition)}

    def _dropped(self, partition: Partition | None) -> Contents:
        prefix, every = self.source.prefix, self.workspace.pipeline.every
        by_partition: dict[Partition, list[str]] = defaultdict(list)
        for key, _, etag in self.lake.objects(prefix if partition is None else f"{prefix}{partition.key}/"):
            found = of_path(key.removeprefix(prefix), every)
            if found is not None:
                by_partition[found].extend((key, etag))
        return {each: digest_of(objects) for each, objects in by_partition.items()}

    def partitions(self) -> set[Partition]:
        """The partitions that have landed or have a folder of drops. Folders of other names are ignored."""
        prefix = self.source.prefix
        matches = (_DROPPED.match(key.removeprefix(prefix)) for key, _, _ in self.lake.objects(prefix))
        found = super().partitions()
        for folder in {match[0] for match in matches if match}:
            with suppress(SluiceError):
                found.add(Partition.parse(folder))
        return found

    def land(self, partition: Partition) -> bool:
        return land_drop(self.lake, self.source, partition)
