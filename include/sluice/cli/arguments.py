"""The arguments and options that several commands take, and the groups in which `--help` lists the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from sluice.declaration.folders import pipeline_names


def _completed(incomplete: str) -> list[str]:
    return [name for name in pipeline_names() if name.startswith(incomplete)]


PipelineArgument = Annotated[
    str, typer.Argument(help="Name of a folder under include/pipelines.", autocompletion=_completed)
]
AnyPipelineArgument = Annotated[
    str | None, typer.Argument(help="One pipeline; all of them if omitted.", autocompletion=_completed)
]
First = Annotated[str | None, typer.Option("--from", help="First partition, such as 2013-01-01 or 2013-01.")]
Last = Annotated[str | None, typer.Option("--to", help="Last partition, included.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object in place of tables and lines.")]

SET_UP = "Set up"
EVENTS = "Events"
LAKE = "Lake"
MODEL = "Model"
