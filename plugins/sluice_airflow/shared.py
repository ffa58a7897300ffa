"""The workspaces that all waits of a process share, so that a look opens nothing (P9)."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, ClassVar

from sluice_airflow.connection import open_workspace

if TYPE_CHECKING:
    from sluice.workspace import Workspace


@dataclass(frozen=True)
class _Opening:
    """A workspace that is open, or that one thread opens while others wait for it. ``at`` is in seconds."""

    at: float
    workspace: Future[Workspace] = field(default_factory=Future)


class SharedWorkspaces:
    """Opens one workspace for each pipeline, which threads share: making its clients takes longer than a hundred looks.

    Args:
        open_one: Opens the workspace of a pipeline.
        clock: Returns seconds.
    """

    # A connection that was changed in Airflow's web UI, or a stack that was changed, counts from then on.
    OLDEST_SECONDS: ClassVar[float] = 300
    # While a service is down every look fails. To open a workspace after each would take all of the processor's time.
    YOUNGEST_SECONDS: ClassVar[float] = 10

    def __init__(
        self, open_one: Callable[[str], Workspace] = open_workspace, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._open, self._clock = open_one, clock
        self._lock = Lock()
        self._openings: dict[str, _Opening] = {}

    def get(self, pipeline: str) -> Workspace:
        """Return the pipeline's workspace. One thread opens it, and others that need it meanwhile wait for that.

        Args:
            pipeline: The name of the pipeline.

        Raises:
            Exception: it can't be opened. The next call tries again.
        """
        with self._lock:
            opening = self._openings.get(pipeline)
            is_open = opening is not None and self._age(opening) < self.OLDEST_SECONDS
            if opening is None or not is_open:
                opening = self._openings[pipeline] = _Opening(self._clock())
        if not is_open:
            self._fill(pipeline, opening)
        return opening.workspace.result()

    def _fill(self, pipeline: str, opening: _Opening) -> None:
        try:
            opening.workspace.set_result(self._open(pipeline))
        except BaseException as error:
            with self._lock:
                if self._openings.get(pipeline) is opening:
                    del self._openings[pipeline]
            opening.workspace.set_exception(error)

    def failed(self, pipeline: str) -> None:
        """Forget the workspace after a failed look, so that credentials and resources are looked up again.

        One that was opened a moment ago is kept.

        Args:
            pipeline: The name of the pipeline.
        """
        with self._lock:
            opening = self._openings.get(pipeline)
            if opening is not None and self._age(opening) >= self.YOUNGEST_SECONDS:
                del self._openings[pipeline]

    def clear(self) -> None:
        """Forget all workspaces."""
        with self._lock:
            self._openings.clear()

    def _age(self, opening: _Opening) -> float:
        return self._clock() - opening.at


# A triggerer is one process with the waits of all pipelines.
WORKSPACES = SharedWorkspaces()
