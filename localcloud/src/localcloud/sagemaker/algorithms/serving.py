"""What a served model is asked and what it answers, whatever its algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Invocation:
    """A request to a model's ``/invocations``. None: the header wasn't sent."""

    body: bytes
    content_type: str | None
    accept: str | None


@dataclass(frozen=True)
class Answer:
    """The model's HTTP answer."""

    status: int
    content_type: str
    body: bytes


class ModelServer(Protocol):
    """A loaded model. Safe to call from several threads."""

    def invoke(self, invocation: Invocation) -> Answer:
        """Answer one request; a fault of the request is an answer too, never an exception."""
        ...

    def probe(self) -> None:
        """Ask the model for a prediction of any row; what it raises, or the end of the process, tells that it fails."""
        ...

    def execution_parameters(self) -> Mapping[str, Any]:
        """The container's answer to ``GET /execution-parameters``, by which a batch transform is planned."""
        ...
