"""Which objects an ``S3DataSource`` stands for: those below a prefix, or those that a manifest lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from localcloud.sagemaker.data.s3 import Location, MissingObjectsError, Objects

_LARGEST_MANIFEST = 64 * 1024 * 1024  # bytes


class ManifestError(Exception):
    """The manifest is not what the developer guide describes (API reference, S3DataSource)."""


class S3DataSource(TypedDict):
    """Where a channel's data is, as requests have it (API reference, S3DataSource and TransformS3DataSource)."""

    S3DataType: str
    S3Uri: str
    S3DataDistributionType: NotRequired[str]


@dataclass(frozen=True)
class Input:
    """An object, and the file's name below its channel."""

    location: Location
    name: str


def inputs_of(objects: Objects, source: S3DataSource) -> Iterator[Input]:
    """The objects of an S3DataSource of a validated request, in their order.

    Raises:
        MissingObjectsError: the bucket or the manifest doesn't exist.
        ManifestError: the manifest can't be read.
    """
    location = Location.of(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        yield from _listed(objects, location)
    else:
        for key in objects.keys(location):
            yield Input(Location(location.bucket, key), name_below(location.key, key))


def is_supported(source: S3DataSource | None) -> bool:
    """Whether this stand-in reads the kind of data source."""
    return source is not None and source["S3DataType"] in ("S3Prefix", "ManifestFile")


def name_below(prefix: str, key: str) -> str:
    """The file's name in its channel.

    A prefix that ends within a name (``data/tr``) stands for its folder: the names below are kept whole.
    """
    if key.startswith(prefix.rstrip("/") + "/"):
        return key.removeprefix(prefix.rstrip("/") + "/")
    return key.removeprefix(prefix.rpartition("/")[0]).lstrip("/")


def _listed(objects: Objects, manifest: Location) -> Iterator[Input]:
    """``[{"prefix": "s3://bucket/folder/"}, "a.csv", "more/b.csv"]``: the names are put behind the prefix."""
    if not objects.exists(manifest):
        raise MissingObjectsError(f"no object at {manifest.uri}")
    try:
        first, *names = json.loads(objects.read(manifest, _LARGEST_MANIFEST))
        prefix = first["prefix"]
        if not prefix.startswith("s3://") or not all(isinstance(name, str) for name in names):
            raise ValueError('it is not [{"prefix": "s3://…"}, "name", …]')
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ManifestError(f"the manifest {manifest.uri} can't be read: {error}") from error
    for name in names:
        yield Input(Location.of(prefix + name), name.lstrip("/"))
