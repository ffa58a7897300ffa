"""The commands that check a pipeline, and create what it declares at AWS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from sluice.aws.clients import Aws
from sluice.aws.failures import explain
from sluice.checking import check_pipeline
from sluice.cli.answers import Answer, Member, show
from sluice.cli.arguments import SET_UP, AnyPipelineArgument, AsJson, PipelineArgument
from sluice.declaration.folders import pipeline_names
from sluice.errors import DeclarationError, MissingResource, SluiceError
from sluice.lake.division import require_division
from sluice.workspace import Workspace

commands = typer.Typer()


class CheckAnswer(Answer):
    """What was checked: a remark for each pipeline that is good, and the first mistake of each other one."""

    command: ClassVar[str] = "check"
    good: Mapping[str, str]
    failed: Mapping[str, str]

    @override
    def texts(self) -> Iterator[str]:
        for name, remark in self.good.items():
            yield f"{name}: good{remark}"


class ChangeAnswer(Member):
    """What an update would do to a resource of the stack: ``Add``, ``Modify``, ``Replace`` or ``Remove`` it."""

    action: str
    resource: str
    kind: str


class DryRunAnswer(Answer):
    """The template, and what would change. The text is a template as a whole: the changes are comments."""

    command: ClassVar[str] = "provision --dry-run"
    template: str
    changes: tuple[ChangeAnswer, ...]

    @override
    def texts(self) -> Iterator[str]:
        yield self.template
        for change in self.changes:
            yield f"# {change.action} {change.resource} ({change.kind})"
        if not self.changes:
            yield "# the stack is up to date: nothing would change"


class ProvisionAnswer(Answer):
    """The outputs of the stack, by their names."""

    command: ClassVar[str] = "provision"
    outputs: Mapping[str, str]

    @override
    def texts(self) -> Iterator[str]:
        for name, value in self.outputs.items():
            yield f"{name}\t{value}"


@commands.command("check", rich_help_panel=SET_UP)
def _check(pipeline: AnyPipelineArgument = None, as_json: AsJson = False) -> None:
    """Check a pipeline: its declaration, the functions and contracts that it names, and its lake.

    Print the first mistake and its right form. Nothing is changed. The lake is checked if the pipeline is provisioned.
    """
    good: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name in [pipeline] if pipeline else pipeline_names():
        try:
            check_pipeline(name)
            good[name] = _lake_result(name)
        except DeclarationError as error:
            failed[name] = str(error)
            typer.echo(failed[name], err=True)
    show(CheckAnswer(good=good, failed=failed), as_json)
    if failed:
        raise SluiceError(f"{', '.join(failed)} did not pass; see above")


def _lake_result(name: str) -> str:
    """Check the lake; return the reason if that is impossible, else an empty text.

    Raises:
        DeclarationError: the lake is divided otherwise than the pipeline declares.
    """
    try:
        require_division(Workspace.open(Aws(), name).lake)
    except MissingResource:
        return "; it is not provisioned, so it has no lake yet"
    except (BotoCoreError, ClientError) as error:
        return f", as far as its folder shows; its lake could not be read: {explain(error)}"
    return ""


@commands.command("provision", rich_help_panel=SET_UP)
def _provision(
    pipeline: PipelineArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the template and what would change.")] = False,
    image: Annotated[
        str | None,
        typer.Option(envvar="SLUICE_STEP_IMAGE", help="URI of the image of steps, for those on Lambda and Fargate."),
    ] = None,
    archives: Annotated[
        str | None,
        typer.Option(
            envvar="SLUICE_STEP_ARCHIVES", help="s3://BUCKET/PREFIX/ for the archives of steps declared with 'zip'."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create or update the pipeline's CloudFormation stack, with what its folder declares and nothing else.

    What is not declared any more is removed from the stack, with its content; only the lake remains. With --dry-run the
    changes are comments below the template, so that the whole output is a template.
    """
    # The library that renders templates takes as long to import as all others together, and only this command needs it.
    from sluice.provisioning.archives import find_artefacts
    from sluice.provisioning.provision import changes, provision
    from sluice.provisioning.template import render

    declared, aws = check_pipeline(pipeline), Aws()
    artefacts = find_artefacts(aws, declared, image, archives)
    if not dry_run:
        show(ProvisionAnswer(outputs=dict(sorted(provision(aws, declared, artefacts).items()))), as_json)
        return
    found = tuple(map(ChangeAnswer.model_validate, changes(aws, declared, artefacts)))
    show(DryRunAnswer(template=render(declared, artefacts).to_yaml(), changes=found), as_json)
