"""A job's log: a file in the job's folder, from which the metrics are read as it grows."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import IO

from localcloud.sagemaker.metrics import FinalMetrics


class JobLog:
    """Copies a child's output into a file, line by line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")

    def __enter__(self) -> JobLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def copy(self, lines: IO[str], metrics: FinalMetrics) -> None:
        """Copy until the child closes its output."""
        for line in lines:
            self._file.write(line)
            self._file.flush()
            metrics.read(line, time.time())
