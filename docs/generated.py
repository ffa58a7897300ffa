"""Files of the documentation that are generated from the code: `make docs` writes them, a test compares them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def write_or_compare(file: Path, content: str, arguments: Sequence[str]) -> int:
    """Write a file, or compare it.

    Args:
        file: The file.
        content: What the code says.
        arguments: Those of the command line; ``--check`` compares.

    Returns:
        The exit status: 1 if the file differs, else 0.
    """
    if "--check" not in arguments:
        file.write_text(content)
        return 0
    if file.exists() and file.read_text() == content:
        return 0
    print(f"{file.name} does not follow the code: run `make docs` and commit it", file=sys.stderr)  # noqa: T201
    return 1
