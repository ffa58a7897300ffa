"""What a command answers: one object, which is printed as JSON, or as tables and lines for people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Literal

import typer
from pydantic import BaseModel, ConfigDict
from rich.console import Console

from sluice.cli.tables import Listing


class Member(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Answer(Member, ABC):
    """What a command answers.

    Its members are the JSON of ``--json``: none is renamed or removed, nor means something else, without a new version.
    ``make docs`` writes the schemas of all answers.

    Attributes:
        command: The command, with the option that makes it answer so; several, if they answer the same.
        schema_version: The version of this JSON.
    """

    command: ClassVar[str]
    schema_version: Literal[1] = 1

    @abstractmethod
    def texts(self) -> Iterable[Listing | str]:
        """Return the answer for people: tables, and lines."""


def show(answer: Answer, as_json: bool) -> None:
    """Print an answer on standard output.

    Args:
        answer: What the command answers.
        as_json: Whether as one JSON object.
    """
    if as_json:
        typer.echo(answer.model_dump_json(indent=2))
        return
    console = Console()
    for text in answer.texts():
        if isinstance(text, str):
            typer.echo(text)
        else:
            console.print(text)
