"""A look imports nothing heavy: the triggerer keeps what it imports, and its event loop waits meanwhile (P9)."""

from __future__ import annotations

import subprocess
import sys

LOOKS = ("sluice.training.kinds", "sluice.evaluation.transforms", "sluice.serving.endpoint")


def test_looks_at_sagemaker_import_no_library_of_data() -> None:
    heavy = ("numpy", "pandas", "pyarrow", "sagemaker", "sklearn")
    code = f"import sys, {', '.join(LOOKS)}; print([each for each in {heavy!r} if each in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
