"""Parses the JSON objects of the lake. One that is not what Sluice has written is named, with the next action."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sluice.errors import OutdatedObject, UnreadableObject

Model = TypeVar("Model", bound=BaseModel)

_RESTORE = "restore its former version, or remove it if something else wrote it"


def parsed(uri: str, body: bytes, kind: type[Model]) -> Model:
    """Return the model in an object.

    Args:
        uri: The ``s3://`` URI of the object, for the error. The model may check that it is at the right place.
        body: The content of the object.
        kind: The model. Its ``schema_version``, if it has one, has the current version as its default.

    Raises:
        OutdatedObject: an older version of Sluice has written the object.
        UnreadableObject: it is damaged, or something else or a newer version of Sluice has written it.
    """
    try:
        return kind.model_validate_json(body, context=uri)
    except ValidationError as error:
        raise _unreadable(uri, body, kind, error) from error


def _unreadable(uri: str, body: bytes, kind: type[BaseModel], error: ValidationError) -> UnreadableObject:
    """Return why an object is not the model."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        return UnreadableObject(f"{uri} is no JSON: it is cut off or damaged; {_RESTORE}")
    known = kind.model_fields["schema_version"].default if "schema_version" in kind.model_fields else None
    version = document.get("schema_version") if isinstance(document, dict) else None
    if isinstance(known, int) and isinstance(version, int) and version > known:
        return UnreadableObject(f"{uri} has schema {version}, and this version of Sluice reads {known}; update Sluice")
    if isinstance(known, int) and isinstance(version, int) and version < known:
        return OutdatedObject(
            f"{uri} has schema {version} of an older version of Sluice, and this one reads {known}; {_RESTORE}"
        )
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, fault["loc"])) or "the whole"
    what = fault["msg"].removeprefix("Value error, ")
    return UnreadableObject(f"{uri} is no {kind.__name__} of Sluice: {where}: {what}; {_RESTORE}")
