"""Requests to a served model and its answers, for every algorithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypedDict


@dataclass(frozen=True)
class Invocation:
    """A request to a model's ``/invocations``; a header that wasn't sent is None."""

    body: bytes
    content_type: str | None
    accept: str | None


@dataclass(frozen=True)
class Answer:
    """The model's HTTP answer."""

    status: int
    content_type: str
    body: bytes


class ExecutionParameters(TypedDict):
    """The container's answer to ``GET /execution-parameters``."""

    MaxConcurrentTransforms: int
    BatchStrategy: str
    MaxPayloadInMB: int


class ModelServer(Protocol):
    """A loaded model. Safe to call from several threads."""

    def invoke(self, invocation: Invocation) -> Answer:
        """Answer one request; a faulty request gets an error answer, never an exception."""
        ...

    def probe(self) -> None:
        """Predict from any row. A model that can't raises an exception, or ends the process."""
        ...

    def execution_parameters(self) -> ExecutionParameters:
        """Return the parameters of a batch transform."""
        ...
