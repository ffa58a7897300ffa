"""The schemas of the command line's answers are generated from its code."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.pages import ROOT


def test_schemas_are_generated_from_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "answers.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
