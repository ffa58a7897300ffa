"""Tables of the command line. They fit into the terminal, and break no word to do so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_LONGEST_CELL = 2000
_BETWEEN_COLUMNS = 3  # a line, and a space at either side


@dataclass(frozen=True)
class Listing:
    """Rows of cells: a table if each column has room for its longest word, else a block of lines for each row.

    Columns without content are left out.

    Attributes:
        title: The title.
        columns: The headers.
        rows: The cells of each row.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield what Rich prints."""
        if not self.rows:
            yield Text(f"{self.title}: none")
            return
        places = [place for place in range(len(self.columns)) if any(row[place].plain for row in self.rows)]
        columns = [[Text(self.columns[place]), *(row[place] for row in self.rows)] for place in places]
        widths = _widths(columns, options.max_width - _BETWEEN_COLUMNS * len(columns) - 1)
        if widths is None:
            yield from _blocks(self.title, columns)
        else:
            yield _table(self.title, columns, widths)


def listing(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Listing:
    """Return a listing of cells that may come from producers.

    Args:
        title: The title.
        columns: The headers.
        rows: The cells of each row. One of None is empty.
    """
    return Listing(title, tuple(columns), tuple(tuple(map(_cell, row)) for row in rows))


def _cell(value: object) -> Text:
    """Return a cell. Ids and reasons come from producers, so markup and control characters are not interpreted."""
    text = "" if value is None else str(value)
    shown = text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
    return Text("".join(each if each.isprintable() else ascii(each)[1:-1] for each in shown))


def _widths(columns: Sequence[Sequence[Text]], room: int) -> list[int] | None:
    """Return a width for each column, of so many characters in all; None if a column would have to break a word."""
    widths = [max(map(_longest_word, column)) for column in columns]
    wanted = [
        max(cell_len(cell.plain) for cell in column) - least for column, least in zip(columns, widths, strict=True)
    ]
    spare = room - sum(widths)
    if spare < 0:
        return None
    in_order = sorted(range(len(columns)), key=wanted.__getitem__)  # what wants little gets all that it wants
    for left, place in zip(range(len(columns), 0, -1), in_order, strict=True):
        given = min(wanted[place], spare // left)
        widths[place] += given
        spare -= given
    return widths


def _longest_word(cell: Text) -> int:
    """Return the width of the longest word. Rich keeps the space before the first one on its line."""
    return max((cell_len(word.rstrip()) for word in re.findall(r"\s*\S+\s*", cell.plain)), default=0)


def _table(title: str, columns: Sequence[Sequence[Text]], widths: Sequence[int]) -> Table:
    table = Table(title=title, title_justify="left")
    for (header, *_), width in zip(columns, widths, strict=True):
        table.add_column(header, width=width)
    for row in zip(*(cells for _, *cells in columns), strict=True):
        table.add_row(*row)
    return table


def _blocks(title: str, columns: Sequence[Sequence[Text]]) -> Iterator[RenderableType]:
    yield Text(title, style="italic")
    headers = [header for header, *_ in columns]
    for row in zip(*(cells for _, *cells in columns), strict=True):
        block = Table.grid(padding=(0, 2))
        block.add_column(no_wrap=True, style="bold")
        block.add_column(overflow="fold")
        for header, cell in zip(headers, row, strict=True):
            if cell.plain:
                block.add_row(header, cell)
        yield Padding(block, (0, 0, 1, 2))
