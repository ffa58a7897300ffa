"""Makes the connector of a declared source, which names its class."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sluice.aws.template import Fragment, Statement, bucket_arn
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.references import imported
from sluice.declaration.sources import EventSource, Source
from sluice.errors import DeclarationError
from sluice.sources.contract import Connector, EventConnector
from sluice.workspace import Workspace


def source_template(pipeline: Pipeline, source: Source) -> Fragment:
    """Return what a declared source adds to the template of its pipeline.

    Args:
        pipeline: The pipeline that declares the source.
        source: The declared source.

    Raises:
        DeclarationError: the class that the source names can't be imported.
    """
    fragment = _connector_class(source).template(pipeline, source)
    envelopes = source.envelopes if isinstance(source, EventSource) else ()
    buckets = [bucket_arn(bucket) for envelope in envelopes for bucket in envelope.buckets]
    if not buckets:
        return fragment
    # Without the right to list a bucket, S3 denies what is gone, so both look the same.
    rights = (
        Statement("ReadThePayloads", ("s3:GetObject",), tuple(f"{each}/*" for each in buckets)),
        Statement("ListThePayloads", ("s3:ListBucket",), tuple(buckets)),
    )
    return replace(fragment, statements=(*fragment.statements, *rights))


def connect(workspace: Workspace, source: Source) -> Connector[Any]:
    """Return the connector of a declared source.

    Args:
        workspace: The pipeline that declares the source.
        source: The declared source.

    Raises:
        DeclarationError: the class that the source names can't be imported.
    """
    return _connector_class(source)(workspace, source)


def connect_events(workspace: Workspace, source: EventSource) -> EventConnector[Any]:
    """Return the connector of a declared source of events.

    Args:
        workspace: The pipeline that declares the source.
        source: The declared source.

    Raises:
        DeclarationError: the class that the source names can't be imported, or is not an EventConnector.
    """
    found = connect(workspace, source)
    if not isinstance(found, EventConnector):
        raise DeclarationError(f"{source.connector} must be an EventConnector, because {source.name} has events")
    return found


def events_source(pipeline: Pipeline, name: str) -> EventSource:
    """Return the source of events with a name.

    Args:
        pipeline: The pipeline that declares it.
        name: The name of the source.

    Raises:
        DeclarationError: there is none.
    """
    for source in pipeline.event_sources:
        if source.name == name:
            return source
    names = ", ".join(source.name for source in pipeline.event_sources) or "none"
    raise DeclarationError(f"pipeline {pipeline.name} has no source of events {name!r}; it has {names}")


def _connector_class(source: Source) -> type[Connector[Any]]:
    found: type[Connector[Any]] = imported(source.connector, f"source {source.name}")
    return found
