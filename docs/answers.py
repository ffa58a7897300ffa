"""Writes docs/reference/cli.schema.json: the JSON Schema of what each command answers with ``--json``.

`make docs` writes it; `--check` fails if it differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from generated import write_or_compare

_ROOT = Path(__file__).resolve().parents[1]
_FILE = _ROOT / "docs" / "reference" / "cli.schema.json"


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
    sys.exit(write_or_compare(_FILE, _schemas(), sys.argv[1:]))
