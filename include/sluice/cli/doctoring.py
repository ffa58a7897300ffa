"""The command that examines what a pipeline needs to run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, ClassVar

import typer
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.cli.answers import Answer, show
from sluice.cli.arguments import SET_UP, AnyPipelineArgument, AsJson
from sluice.cli.tables import Listing, listing
from sluice.declaration.folders import pipeline_names
from sluice.doctor import Finding, examine_machine, examine_pipeline
from sluice.errors import SluiceError

commands = typer.Typer()


class DoctorAnswer(Answer):
    """What was looked at, in order."""

    command: ClassVar[str] = "doctor"

    findings: tuple[Finding, ...]

    @override
    def texts(self) -> Iterator[Listing]:
        rows = [(each.check, "ok" if each.good else "wrong", each.text) for each in self.findings]
        yield listing("doctor", ("check", "result", "found"), rows)


@commands.command("doctor", rich_help_panel=SET_UP)
def _doctor(
    pipeline: AnyPipelineArgument = None,
    image: Annotated[
        str | None,
        typer.Option(envvar="SLUICE_STEP_IMAGE", help="URI of the image of steps, for those on Lambda and Fargate."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Examine what a pipeline needs to run: each check is ok, or names the next action. Nothing is changed.

    It looks at Python, the region, the credentials and the clock; and of each pipeline at the declaration, the stack
    (by a change set of CloudFormation), what a worker reads, and the quotas. Use it with the credentials of a worker to
    see what they allow.
    """
    aws = Aws()
    findings = list(examine_machine(aws, lambda: datetime.now(UTC)))
    if all(each.good for each in findings):
        for name in [pipeline] if pipeline else pipeline_names():
            findings += examine_pipeline(aws, name, image)
    show(DoctorAnswer(findings=tuple(findings)), as_json)
    if wrong := [each.check for each in findings if not each.good]:
        raise SluiceError(f"{len(wrong)} of {len(findings)} checks found something wrong; see above")
