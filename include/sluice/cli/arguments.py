"""The arguments that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

PipelineArgument = Annotated[str, typer.Argument(help="Name of a folder under include/pipelines.")]
