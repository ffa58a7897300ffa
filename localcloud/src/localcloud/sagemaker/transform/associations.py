"""DataProcessing of a transform job: which parts of a record are sent, joined to the answer, and kept.

Developer guide, "Associate Prediction Results with Input Records". Paths are the guide's part of JSONPath: ``$``, names
after dots or in brackets, ``*``, indexes, lists of them, and slices. A CSV record is a list of its cells.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_][\w-]*) | (?P<all>\.\* | \[\*\]) | \[(?P<keys>\s*'[^']*'(\s*,\s*'[^']*')*\s*)\]
    | \[(?P<slice>\s*-?\d*\s*:\s*-?\d*\s*)\] | \[(?P<indexes>\s*-?\d+(\s*,\s*-?\d+)*\s*)\]""",
    re.VERBOSE,
)

Select = Callable[[Any], list[Any]]


class PathError(Exception):
    """The path isn't in the part of JSONPath that batch transform has, or finds nothing in a record."""


@dataclass(frozen=True)
class Path:
    """A path in a record.

    Attributes:
        text: The path as in the request.
        steps: What each part of the path selects in a value.
        is_list: Whether the path gives a list, as a slice does, or a single value.
    """

    text: str
    steps: tuple[Select, ...]
    is_list: bool

    @classmethod
    def of(cls, text: str) -> Path:
        """Parse a path.

        Raises:
            PathError: The path isn't supported.
        """
        if not text.startswith("$"):
            raise PathError(f"The JSONPath '{text}' doesn't begin with $")
        steps, position, is_list = list[Select](), 1, False
        while position < len(text):
            found = _STEP.match(text, position)
            if found is None:
                raise PathError(f"The JSONPath '{text}' isn't supported from '{text[position:]}' on")
            select, several = _step(found)
            steps.append(select)
            is_list, position = is_list or several, found.end()
        return cls(text, tuple(steps), is_list)

    def find(self, record: Any) -> Any:
        """Return the value at the path in a record.

        Raises:
            PathError: There is none.
        """
        values = [record]
        for select in self.steps:
            values = [found for value in values for found in select(value)]
        if self.is_list:
            return values
        if not values:
            raise PathError(f"The JSONPath '{self.text}' finds nothing in a record")
        return values[0]


def _step(found: re.Match[str]) -> tuple[Select, bool]:
    if found["name"] is not None:
        return _member([found["name"]]), False
    if found["all"] is not None:
        return lambda value: list(value.values()) if isinstance(value, dict) else _items(value), True
    if found["keys"] is not None:
        names = re.findall(r"'([^']*)'", found["keys"])
        return _member(names), len(names) > 1
    if found["slice"] is not None:
        first, last = (int(bound) if bound.strip() else None for bound in found["slice"].split(":"))
        return lambda value: _items(value)[first:last], True
    indexes = [int(index) for index in found["indexes"].split(",")]
    return _places(indexes), len(indexes) > 1


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _member(names: Sequence[str]) -> Select:
    return lambda value: [value[name] for name in names if isinstance(value, dict) and name in value]


def _places(indexes: Sequence[int]) -> Select:
    return lambda value: [_items(value)[at] for at in indexes if -len(_items(value)) <= at < len(_items(value))]


@dataclass(frozen=True)
class Association:
    """The filters and the join of DataProcessing.

    Attributes:
        input_filter: What of a record is sent.
        output_filter: What of an answer, joined or not, is kept.
        joins: Whether the record and its answer are joined.
        is_csv: Whether records and answers are CSV; else they are JSON, one record a line.
    """

    input_filter: Path
    output_filter: Path
    joins: bool
    is_csv: bool

    @property
    def per_record(self) -> bool:
        """Whether the answer to each record is needed by itself."""
        return self.joins or self.output_filter.text != "$"

    def sent(self, record: bytes) -> bytes:
        """Return the record as it is sent to the model."""
        if self.input_filter.text == "$":
            return record
        return self._written(self.input_filter.find(self._read(record)))

    def kept(self, record: bytes, answer: bytes) -> bytes:
        """Return the output for a record.

        Args:
            record: The record as in the input.
            answer: The model's answer to it.
        """
        produced = self._read(answer)
        if self.joins:
            produced = _joined(self._read(record), produced, is_csv=self.is_csv)
        return self._written(self.output_filter.find(produced))

    def _read(self, record: bytes) -> Any:
        text = record.decode()
        return next(csv.reader([text]), []) if self.is_csv else json.loads(text)

    def _written(self, value: Any) -> bytes:
        if not self.is_csv:
            return json.dumps(value).encode()
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(value if isinstance(value, list) else [value])
        return text.getvalue().encode()


def _joined(record: Any, answer: Any, *, is_csv: bool) -> Any:
    if is_csv:
        return [*record, *answer]
    if isinstance(record, dict):
        return {**record, "SageMakerOutput": answer}
    return {"SageMakerInput": record, "SageMakerOutput": answer}
