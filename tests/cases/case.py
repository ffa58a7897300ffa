"""One case of the corpus: what is given, and what is right (README.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A folder with ``case.json`` and the files that it names."""

    folder: Path

    @property
    def id(self) -> str:
        return str(self.folder.relative_to(CORPUS))

    @cached_property
    def _described(self) -> Mapping[str, Any]:
        described: Mapping[str, Any] = json.loads((self.folder / "case.json").read_text())
        return described

    @property
    def given(self) -> Mapping[str, Any]:
        return self._described["given"]

    @property
    def right(self) -> Mapping[str, Any]:
        return self._described["right"]

    @property
    def kind(self) -> str:
        return self.folder.parent.name

    @property
    def delivery(self) -> str:
        """The name of the module that delivers the case."""
        return str(self.given["delivery"]).replace(" ", "_")

    def read(self, name: str) -> bytes:
        """Return the content of a file of the case."""
        return (self.folder / name).read_bytes()


def cases() -> list[Case]:
    return [Case(described.parent) for described in sorted(CORPUS.glob("*/*/case.json"))]
