"""The command line: its commands, the options of all of them, and how it ends."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.failures import explain
from sluice.aws.settings import load_settings
from sluice.cli import (
    checking,
    cleaning,
    deploying,
    developing,
    doctoring,
    following,
    notes,
    planning,
    predicting,
    sending,
    state,
)
from sluice.errors import SluiceError

_OF_AWS = (BotoCoreError, ClientError)
_REFUSED, _AT_AWS = 1, 3  # exit statuses; Typer's own for a wrong command line is 2

app = typer.Typer(
    help="Ordered event streams into a time-partitioned lake, and a live model trained on it.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",  # paragraphs are wrapped to the width of the terminal
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line. After an error it prints one line on standard error.

    The exit status is 0, 1 if Sluice refuses what was asked for, 2 for a wrong command line, and 3 if AWS refuses or
    fails a call.
    """
    load_settings()
    with notes.on_standard_error():
        try:
            app()
        except (SluiceError, BotoCoreError, ClientError) as error:
            _fail(error)


def _fail(error: SluiceError | BotoCoreError | ClientError) -> None:
    remarks = "".join(f" ({remark})" for remark in getattr(error, "__notes__", ()))
    notes.tell_origin(error)
    print(f"error: {explain(error)}{remarks}", file=sys.stderr)  # noqa: T201
    is_of_aws = isinstance(error, _OF_AWS) or isinstance(error.__cause__, _OF_AWS)
    raise SystemExit(_AT_AWS if is_of_aws else _REFUSED)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sluice {version('sluice')}")
        raise typer.Exit


@app.callback()
def _sluice(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No notes, and no progress: answers and errors.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also what the library logs, and where an error comes from.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    notes.set_level(quiet=quiet, verbose=verbose)


for _group in (checking, doctoring, developing, sending, state, planning, cleaning, deploying, predicting, following):
    app.add_typer(_group.commands)
