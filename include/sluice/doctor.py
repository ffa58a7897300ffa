"""Examines what a pipeline needs to run: this machine, the account, and what it has at AWS. Nothing is changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.clients import Aws
from sluice.aws.failures import explain
from sluice.checking import check_pipeline
from sluice.compute.artefacts import Artefacts
from sluice.declaration.loading import load_pipeline
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.sources import EventSource
from sluice.errors import SluiceError
from sluice.lake.division import require_division
from sluice.serving.quotas import require_quotas
from sluice.sources.connecting import connect_events
from sluice.training.jobs import list_jobs
from sluice.workspace import Workspace

_OLDEST_PYTHON = (3, 11, 2)
# AWS refuses a request whose time is five minutes off (AWS IAM User Guide, "AWS Signature Version 4").
_MOST_SKEW = timedelta(minutes=1)


@dataclass(frozen=True)
class Finding:
    """What one check has found.

    Attributes:
        check: What was looked at.
        good: Whether it is as it should be.
        text: What was found, and the next action if it is not good.
    """

    check: str
    good: bool
    text: str


class _Wrong(SluiceError):
    """A check has found something that has to be changed."""


def examine_machine(aws: Aws, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Yield what every pipeline needs: Python, credentials, a region, a way to AWS, and a right clock.

    Args:
        aws: The clients.
        now: Returns the time of this machine (UTC).
    """
    yield _found("Python", _python)
    yield _found("region", lambda: _region(aws))
    credentials = _found("credentials", lambda: _credentials(aws))
    yield credentials
    if credentials.good:
        yield _found("clock", lambda: _clock(aws, now))


def examine_pipeline(aws: Aws, name: str, image: str | None = None) -> Iterator[Finding]:
    """Yield what a pipeline needs: its declaration, its stack, and what a worker reads.

    Without a good declaration, or a lake, nothing more is looked at.

    Args:
        aws: The clients.
        name: The name of the pipeline.
        image: The URI of the image of steps; only a pipeline with steps on Lambda or Fargate needs it.
    """
    declaration = _found(f"{name}: declaration", lambda: _declared(name))
    yield declaration
    if not declaration.good:
        return
    yield _found(f"{name}: stack", lambda: _stack(aws, load_pipeline(name), image))
    lake = _found(f"{name}: lake", lambda: _lake(aws, name))
    yield lake
    if lake.good:
        for check, look in _looks(Workspace.open(aws, name)).items():
            yield _found(f"{name}: {check}", look)


def _found(check: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(check, True, look())
    except (SluiceError, BotoCoreError, ClientError) as error:
        return Finding(check, False, explain(error))


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:3] < _OLDEST_PYTHON:
        raise _Wrong(f"{version}; install Python {'.'.join(map(str, _OLDEST_PYTHON))} or newer")
    return version


def _region(aws: Aws) -> str:
    region = aws.session.region_name
    if region is None:
        raise _Wrong("none; set AWS_DEFAULT_REGION, or region in the profile")
    return region


def _credentials(aws: Aws) -> str:
    if aws.session.get_credentials() is None:
        raise _Wrong("none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
    client = aws.client("sts")
    answer = client.get_caller_identity()
    return f"{answer['Arn']} of account {answer['Account']}, by {client.meta.endpoint_url}"


def _clock(aws: Aws, now: Callable[[], datetime]) -> str:
    answer = aws.client("sts").get_caller_identity()
    ahead = now() - parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    seconds = abs(ahead.total_seconds())
    if abs(ahead) > _MOST_SKEW:
        direction = "ahead of" if ahead > timedelta() else "behind"
        raise _Wrong(f"{seconds:.0f} s {direction} AWS's; set it: AWS refuses requests that are five minutes off")
    return f"{seconds:.0f} s from AWS's"


def _declared(name: str) -> str:
    pipeline = check_pipeline(name)
    return f"{len(pipeline.sources)} sources, {len(pipeline.steps)} steps"


def _stack(aws: Aws, pipeline: Pipeline, image: str | None) -> str:
    # The library that renders templates takes as long to import as all others together.
    from sluice.provisioning.provision import changes

    if any(step.runtime.needs_archives for step in pipeline.steps):
        return f"not compared, as archives would be stored for it: `sluice provision {pipeline.name} --dry-run` does"
    found = changes(aws, pipeline, Artefacts(image))
    if found:
        named = ", ".join(f"{each.action} {each.resource}" for each in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise _Wrong(f"not as declared ({named}{more}); run `sluice provision {pipeline.name}`")
    return "as declared"


def _lake(aws: Aws, name: str) -> str:
    workspace = Workspace.open(aws, name)
    require_division(workspace.lake)
    return f"s3://{workspace.lake.bucket}/{name}/ can be read"


def _looks(workspace: Workspace) -> dict[str, Callable[[], str]]:
    """Return the checks of what else a worker reads, by their names."""
    pipeline = workspace.pipeline
    looks: dict[str, Callable[[], str]] = {}
    for source in pipeline.event_sources:
        looks[f"{source.kind} {source.name}"] = partial(_source, workspace, source)
    if pipeline.training is not None:
        looks["SageMaker"] = partial(_jobs, workspace)
        looks["quotas"] = partial(_quotas, workspace)
    return looks


def _source(workspace: Workspace, source: EventSource) -> str:
    connect_events(workspace, source).figures()
    return "can be read"


def _jobs(workspace: Workspace) -> str:
    list_jobs(workspace, most=1)
    return "training jobs can be listed"


def _quotas(workspace: Workspace) -> str:
    require_quotas(workspace)
    return "enough for what is declared"
