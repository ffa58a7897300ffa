"""Splits bodies that are written alike: the same members in the same order, with the same blanks.

Arrow's CSV reader takes a third of the time of its JSON reader. It splits each body at its commas. If each piece is a
name with one plain value, then the pieces are the members of the body, by the grammar of JSON (RFC 8259). Bodies with
another comma, with an escape, a list or an object are not alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from sluice.contracts.letters import letters_of

_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_PLAIN = rf'("[^"]*"|{_NUMBER}|true|false|null)'
_PIECE = re.compile(rf'(?P<before> *"(?P<name>[^"]+)" *: *){_PLAIN}(?P<after> *)')
LONGEST_INTEGER = 4300  # digits that pydantic reads (jiter's limit, as Python's)
_SPLIT_AT_ONCE = 2**20  # bytes


@dataclass(frozen=True)
class _Piece:
    """The text before and after the value of a member: the same in each body."""

    before: str
    after: str


def split_alike(
    bodies: pa.Array[Any], lines: pa.Buffer, types: Mapping[str, Any], *, others: bool
) -> tuple[pa.Table, Collection[str]]:
    """Return the members of bodies that are written alike, and the names of those that stand in each body.

    Args:
        bodies: Texts, each from ``{`` to ``}``.
        lines: The same texts, each with a line break behind it.
        types: The type of each member: string, int64, float64 or bool.
        others: Whether a body may have other members.

    Raises:
        ArrowInvalid: the bodies are not alike, or a value does not fit its type.
    """
    pieces = _pieces(bodies[0].as_py())
    if pieces.keys() - types.keys() and not others:
        _refuse("there are other members")
    columns = _split(lines, list(pieces))
    values = {name: _values(piece, columns[name].combine_chunks(), types.get(name)) for name, piece in pieces.items()}
    texts = sum(len(each) - each.null_count for each in values.values() if pa.types.is_string(each.type))
    _refuse_hidden(lines, len(bodies), quotes=2 * (len(bodies) * len(pieces) + texts))
    lacking = {name: pa.nulls(len(bodies), kind) for name, kind in types.items() if name not in pieces}
    return pa.table({name: (values | lacking)[name] for name in types}), pieces.keys()


def _pieces(body: str) -> dict[str, _Piece]:
    found = [_PIECE.fullmatch(piece) for piece in body[1:-1].split(",")]
    pieces = {
        each["name"]: _Piece("{" * (place == 1) + each["before"], each["after"] + "}" * (place == len(found)))
        for place, each in enumerate(found, 1)
        if each is not None
    }
    if len(pieces) < len(found):
        _refuse("a member is not plain, or comes twice")
    return pieces


def _split(lines: Any, names: list[str]) -> pa.Table:
    """Return the pieces of each line under their names."""
    source: Any = pa.BufferReader(lines)
    return pa.csv.read_csv(
        source,
        pa.csv.ReadOptions(column_names=names, block_size=_SPLIT_AT_ONCE, use_threads=False),
        pa.csv.ParseOptions(quote_char=False, escape_char=False),
        pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary())),
    )


def _values(piece: _Piece, column: Any, kind: Any) -> Any:
    """Return the values of a member; of one that the contract does not know, those that are texts."""
    if kind is None:
        return _others(piece, column)
    is_null = pc.equal(column, pa.scalar(f"{piece.before}null{piece.after}".encode()))
    if pc.any(is_null).as_py():
        column = pc.if_else(is_null, pa.scalar(None, pa.binary()), column)
        if column.null_count == len(column):
            return column.cast(kind)
    return _typed(_between(column, piece.before, piece.after, '"' if pa.types.is_string(kind) else ""), kind)


def _between(column: Any, before: str, after: str, quote: str) -> Any:
    """Return the text that stands between two others, and between quotes."""
    before, after = before + quote, quote + after
    start, end = len(before.encode()), len(after.encode())
    lengths: Any = pc.min_max(pc.binary_length(column)).as_py()
    stands = pc.and_(pc.starts_with(column, before), pc.ends_with(column, after))
    if lengths["min"] < start + end or not pc.all(stands).as_py():
        _refuse("a member is written in another way")
    return pc.binary_slice(column, start, -end or lengths["max"]).view(pa.string())


def _typed(texts: Any, kind: pa.DataType) -> Any:
    """Return texts as values of a type. Arrow reads more spellings of a number than JSON has."""
    if pa.types.is_string(kind):
        return texts
    values = texts.cast(kind)
    if pa.types.is_integer(kind):
        spelled = _are_shortest(texts, values)
    elif pa.types.is_floating(kind):
        spelled = pc.all(pc.match_substring_regex(texts, f"^{_NUMBER}$")).as_py()
    else:
        spelled = values.cast(pa.string()).equals(texts)
    return values if spelled else _refuse("a value is spelled in another way")


def _are_shortest(texts: pa.Array[Any], values: pa.Array[Any]) -> bool:
    """Return whether integers are spelled as JSON has them: without a leading zero, a plus, or the letters of hex.

    Each spelling in decimal that JSON does not have is longer than the one that it has.
    """
    letters, numbers = letters_of(texts), values.drop_null().to_numpy()
    shortest, power = len(numbers) + np.count_nonzero(numbers < 0), 10
    while longer := np.count_nonzero((numbers >= power) | (numbers <= -power)):
        shortest, power = shortest + longer, power * 10
    return len(letters) == shortest and not (letters > ord("9")).any()


def _others(piece: _Piece, column: Any) -> Any:
    before, after = re.escape(piece.before), re.escape(piece.after)
    is_plain = pc.all(pc.match_substring_regex(column, f"^{before}{_PLAIN}{after}$")).as_py()
    if not is_plain or pc.max(pc.binary_length(column)).as_py() > LONGEST_INTEGER:
        _refuse("another member is not plain, or too long")
    return column.filter(pc.starts_with(column, piece.before + '"')).view(pa.string())


def _refuse_hidden(lines: Any, count: int, quotes: int) -> None:
    """Refuse a quote in a text, an escape, or a control character, such as a line break.

    Args:
        lines: The bodies.
        count: How many there are.
        quotes: How many quotes there are at least.
    """
    letters = np.frombuffer(lines, np.uint8)
    if np.count_nonzero(letters == ord('"')) > quotes or (letters == ord("\\")).any():
        _refuse("a text has a quote or an escape")
    if np.count_nonzero(letters < ord(" ")) > count:
        _refuse("a body has a control character")


def _refuse(why: str) -> NoReturn:
    raise pa.ArrowInvalid(why)
