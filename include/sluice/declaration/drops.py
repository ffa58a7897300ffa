"""Drops: files that another system writes, as a user declares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from typing_extensions import override

from sluice.declaration.checks import check_text, check_tuple
from sluice.declaration.column_types import check_schema
from sluice.declaration.completeness import Completeness, Marker
from sluice.declaration.file_formats import Csv, FileFormat, JsonLines, Parquet
from sluice.declaration.sources import Source
from sluice.errors import DeclarationError


@dataclass(frozen=True)
class Drops(Source):
    """CSV, JSON or Parquet files that another system writes to the pipeline's bucket.

    Names, and folders, that begin with ``_`` or ``.`` are passed over: with them writers keep their books. A file of
    another format is refused.

    Args:
        prefix: Where the files are: it ends with a slash, and those of a partition are below ``<prefix>dt=…/``,
            ``<prefix>week=…/`` or ``<prefix>month=…/``. An hour may have one digit, as in ``hour=7``. A week or month
            also has what is below its days.
        complete: What makes a partition complete: a marker by default.
        schema: The columns that a step gets, as ``{"station": "string", "wind": "int64"}``; the types are those of
            :mod:`sluice.declaration.column_types`. Values are converted if that loses nothing; else the file is
            refused. A column that a file does not have is missing in it, other columns are left out. None: the columns
            and types of the files; those of CSV are all text.
        formats: The formats of the files, each at most once.
        may_be_empty: Whether a complete partition may have no files. If not, it is refused.

    Raises:
        DeclarationError: one of these has a wrong form.
    """

    kind: ClassVar[str] = "drops"
    connector: ClassVar[str] = "sluice.sources.drops.connector:DropsConnector"
    reader: ClassVar[str | None] = "sluice.sources.drops.reading:read_landed"

    prefix: str
    complete: Completeness = field(default_factory=Marker)
    schema: Mapping[str, str] | None = field(default=None, hash=False, kw_only=True)
    formats: tuple[FileFormat, ...] = field(default=(Csv(), JsonLines(), Parquet()), kw_only=True)
    may_be_empty: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        check_text(self._where, "prefix", self.prefix, f"drops/{self.name}/")
        if not self.prefix.endswith("/") or self.prefix.startswith("/"):
            raise DeclarationError(
                f"{self._where}: prefix={self.prefix!r} must end with a slash and not begin with one; write it as "
                f"'drops/{self.name}/'"
            )
        if not isinstance(self.complete, Completeness):
            raise DeclarationError(f"{self._where}: complete={self.complete!r} must be a rule, such as Marker()")
        check_tuple(self._where, "formats", self.formats, FileFormat, "Csv(delimiter=';')")
        if len({type(each) for each in self.formats}) < len(self.formats):
            raise DeclarationError(f"{self._where}: formats={self.formats!r} must have each format once")
        check_schema(self._where, self.schema)

    @property
    @override
    def foreign_folders(self) -> tuple[str, ...]:
        return (self.prefix,)
