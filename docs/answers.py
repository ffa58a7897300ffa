"""Writes docs/reference/cli.schema.json: the JSON Schema of what each command answers with ``--json``.

`make docs` writes it; `--check` fails if it differs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_FILE = _ROOT / "docs" / "reference" / "cli.schema.json"


def main(arguments: Sequence[str]) -> int:
    """Write the file, or compare it.

    Args:
        arguments: Those of the command line; ``--check`` compares.

    Returns:
        The exit status: 1 if the file differs, else 0.
    """
    content = _schemas()
    if "--check" not in arguments:
        _FILE.write_text(content)
        return 0
    if _FILE.exists() and _FILE.read_text() == content:
        return 0
    print(f"{_FILE.name} does not follow the command line: run `make docs` and commit it", file=sys.stderr)  # noqa: T201
    return 1


def _schemas() -> str:
    sys.path.insert(0, str(_ROOT / "include"))
    import sluice.cli.app  # noqa: F401  # it imports every command
    from sluice.cli.answers import Answer

    schemas = {
        command: answer.model_json_schema(mode="serialization")
        for answer in Answer.__subclasses__()
        for command in answer.command.split(", ")
    }
    return json.dumps(schemas, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
