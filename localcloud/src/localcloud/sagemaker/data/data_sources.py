"""Which objects an ``S3DataSource`` names: those below a prefix, or those that a manifest lists."""

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


class DataSource(TypedDict, total=False):
    """A channel's source, which the stand-in reads only if it is in S3."""

    S3DataSource: S3DataSource


@dataclass(frozen=True)
class Input:
    """An object, and the name of its file below the channel's folder."""

    location: Location
    name: str


def inputs_of(objects: Objects, source: S3DataSource) -> Iterator[Input]:
    """Yield the objects of a source: those of a prefix by key, those of a manifest in its order.

    Args:
        objects: The S3 to look into.
        source: The source in a validated request.

    Raises:
        MissingObjectsError: The bucket or the manifest doesn't exist.
        ManifestError: The manifest can't be read.
    """
    location = Location.of(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        yield from _listed(objects, location)
    else:
        for key in objects.keys(location):
            yield Input(Location(location.bucket, key), name_below(location.key, key))


def is_supported(source: S3DataSource) -> bool:
    """Return whether this stand-in reads the kind of data source."""
    return source["S3DataType"] in ("S3Prefix", "ManifestFile")


def name_below(prefix: str, key: str) -> str:
    """Return the name of an object's file in its channel.

    Args:
        prefix: The channel's key prefix. If it ends within a name (``data/tr``), its folder counts.
        key: The object's key, which begins with the prefix.
    """
    if key.startswith(prefix.rstrip("/") + "/"):
        return key.removeprefix(prefix.rstrip("/") + "/")
    return key.removeprefix(prefix.rpartition("/")[0]).lstrip("/")


def _listed(objects: Objects, manifest: Location) -> Iterator[Input]:
    """Yield the objects of ``[{"prefix": "s3://bucket/folder/"}, "a.csv", "more/b.csv"]``: prefix and name together."""
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
