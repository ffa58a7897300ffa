"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code. One that is a complete file has the file's path as its ``title``."""

    page: Path
    language: str
    title: str
    text: str


def pages() -> list[Path]:
    """Return every page at the top of the project and below ``docs``."""
    return [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]


def blocks() -> Iterator[Block]:
    for page in pages():
        for language, title, text in _BLOCK.findall(page.read_text()):
            yield Block(page, language, title, text)
