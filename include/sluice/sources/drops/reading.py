"""Reads dropped files: the format by the suffix of the name, the types by the declared schema."""

from __future__ import annotations

import pyarrow as pa

from sluice.declaration.drops import Drops
from sluice.declaration.file_formats import FileFormat
from sluice.errors import SluiceError
from sluice.lake.manifests import File
from sluice.sources.drops.columns import with_schema
from sluice.sources.drops.formats.contract import UnreadableFile, reader_of


class RefusedDrop(SluiceError):
    """A dropped file can't be read as declared. The message is one line: which, why, and the next action."""


def read_drop(source: Drops, name: str, body: bytes) -> pa.Table:
    """Return the rows of a dropped file.

    Args:
        source: The declared drops.
        name: The key under which the file was dropped, or its URI; it has the suffix of the format.
        body: The file's content.

    Raises:
        RefusedDrop: it can't be read, or not with the declared types.
    """
    form, _ = format_of(source, name)
    try:
        if not body:
            raise UnreadableFile("it is empty: it has 0 bytes")
        table = reader_of(form)(body, form)
        return table if source.schema is None else with_schema(table, source.schema)
    except UnreadableFile as error:
        raise RefusedDrop(
            f"{name} can't be read: {error}; have its sender write it again, or correct what source {source.name} "
            f"declares, then clear the task that lands the drops"
        ) from error


def read_landed(source: Drops, file: File, body: bytes) -> pa.Table:
    """Return the rows of a landed file.

    Args:
        source: The declared drops.
        file: The file, as the manifest of its partition has it.
        body: The file's content.

    Raises:
        RefusedDrop: it can't be read, or not with the declared types, or it has lost a part of what was dropped.
    """
    if len(body) != file.size:
        raise RefusedDrop(
            f"{file.key} has {len(body)} bytes and {file.size} were dropped: it is damaged, or something else wrote "
            f"it; restore its former version, or remove the _manifest.json beside it, then clear the task that lands "
            f"the drops"
        )
    return read_drop(source, file.origin or file.key, body)


def format_of(source: Drops, name: str) -> tuple[FileFormat, str]:
    """Return the format of a dropped file, and its suffix in lower case.

    Args:
        source: The declared drops.
        name: The key under which the file was dropped, or its URI.

    Raises:
        RefusedDrop: its suffix is that of no declared format.
    """
    for form in source.formats:
        for suffix in form.suffixes:
            if name.lower().endswith(suffix):
                return form, suffix
    known = ", ".join(suffix for form in source.formats for suffix in form.suffixes)
    raise RefusedDrop(
        f"{name} has none of the suffixes {known}; have its sender name it by its format, or with _ in front if it "
        f"holds no rows, then clear the task that lands the drops"
    )
