"""The one handler of steps that run elsewhere: a Lambda function calls :func:`handle`, a task on Fargate this module.

It claims its attempt, checks that it has the code that was asked for, runs the step as the Airflow worker does, and
records how it has ended. An event that is delivered twice, or a task that is started twice, has one effect.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import boto3

from sluice.aws.clients import Aws
from sluice.aws.failures import explain, is_transient
from sluice.aws.resources import find
from sluice.compute.attempts import Attempt, Claim, Outcome, Result
from sluice.compute.memory import Peak
from sluice.compute.names import LOG
from sluice.compute.requests import Request
from sluice.compute.supervising import Ended, supervise
from sluice.compute.versions import require_same_code
from sluice.lake.partitions import parse_ranges
from sluice.lake.store import Lake
from sluice.steps.code import code_fingerprint
from sluice.steps.measuring import Place, peak_mb
from sluice.steps.runner import run_step
from sluice.workspace import Workspace

# What is left for the result, before the service ends the function.
_LAST_SECONDS = 5.0
# An attempt without a result counts as lost this long after its limit: start and end are not part of the limit.
_GRACE = timedelta(minutes=1)
_METADATA_SECONDS = 5.0


@dataclass(frozen=True)
class _Answer:
    """What the child process has to say. Errors of a pipeline's code can't always be sent to another process."""

    outcome: Outcome
    message: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    manifests: tuple[str, ...] = ()


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run an attempt in a Lambda function.

    Args:
        event: A :class:`sluice.compute.requests.Request`.
        context: What Lambda passes.

    Returns:
        How it has ended, as it is in S3.
    """
    seconds = context.get_remaining_time_in_millis() / 1000 - _LAST_SECONDS
    log = f"{context.log_group_name}:{context.log_stream_name}"
    return run(Request.model_validate(event), context.aws_request_id, log, seconds)


def main() -> None:
    """Run an attempt in a task on Fargate. The command line has the request, as JSON."""
    request = Request.model_validate_json(sys.argv[1])
    task = _task_arn()
    log = f"{os.environ[LOG]}/{task.rpartition('/')[2]}"
    print(json.dumps(run(request, task, log, request.seconds)))  # noqa: T201


def run(request: Request, by: str, log: str, seconds: float) -> dict[str, Any]:
    """Run an attempt, unless somebody else does or did, and record how it has ended.

    Args:
        request: The attempt.
        by: The id of the invocation or of the task.
        log: The log group and the log stream, as ``group:stream``.
        seconds: The longest time.

    Returns:
        The :class:`sluice.compute.attempts.Result`; ``{"outcome": "doubled"}`` if the attempt is another's.
    """
    aws = Aws()
    # The pipeline's own code is loaded in the child, so that its errors have a result too.
    lake = Lake(aws.client("s3"), find(aws, request.pipeline).bucket, request.pipeline)
    attempt = Attempt(request.step, request.work, request.attempt)
    until = datetime.now(UTC) + timedelta(seconds=seconds) + _GRACE
    if not attempt.claim(lake, Claim(by=by, size=request.size, until=until, log=log)):
        return {"outcome": "doubled"}
    ended = _supervised(request, aws.session, seconds)
    answer = _answer(request, ended)
    result = Result(
        outcome=answer.outcome,
        message=answer.message,
        size=request.size,
        summary=answer.summary,
        manifests=answer.manifests,
        seconds=ended.seconds,
        peak_mb=ended.peak_mb,
        dollars=round(ended.seconds * request.dollars_per_second, 8),
        log=ended.log,
    )
    attempt.finish(lake, result)
    return result.model_dump(mode="json")


def _supervised(request: Request, session: boto3.Session, seconds: float) -> Ended:
    """Run the step in a child process; return how it has ended, also if it could not begin.

    The attempt is claimed, so who waits for it needs a result.
    """
    peak = Peak()
    try:
        return supervise(partial(_run_step, request, session, peak), request.size.memory_mb, seconds, peak)
    except Exception as error:
        return Ended("raised", error, 0.0, 0, ())


def _run_step(request: Request, session: boto3.Session, peak: Peak) -> _Answer:
    """Run the step in the child process. It has clients of its own: connections must not be shared with the parent."""
    try:
        workspace = Workspace.open(Aws(session), request.pipeline)
        _check_code(workspace, request)
        place = Place(
            str(request.size), request.reason, request.dollars_per_second, lambda: max(peak_mb(), round(peak.mb))
        )
        summary = run_step(workspace, request.step, request.partitions, place)
        made = parse_ranges(summary["partitions"], workspace.pipeline.calendar)
        manifests = tuple(workspace.lake.layout.manifest(request.step, partition) for partition in made)
        return _Answer("done", summary=summary, manifests=manifests)
    except MemoryError as error:
        return _Answer("memory", str(error))
    except Exception as error:
        return _Answer("interrupted" if is_transient(error) else "failed", explain(error))


def _check_code(workspace: Workspace, request: Request) -> None:
    """Require that this is the code that was asked for. An older one would write other bytes under the same names."""
    here = code_fingerprint(workspace.pipeline, workspace.pipeline.step(request.step))
    require_same_code(str(request.size), here, f"step {request.step!r}", request.code, request.pipeline)


def _answer(request: Request, ended: Ended) -> _Answer:
    """Return what has happened; why the step has no result in one line."""
    match ended.reason:
        case "returned":
            answer: _Answer = ended.value
            return answer if answer.outcome != "memory" else _Answer("memory", f"{request} found no memory left")
        case "memory":
            return _Answer("memory", f"{request} needs more memory than it has: it held {ended.peak_mb:,} MB")
        case "time":
            return _Answer("time", f"{request} needs more time than it has: it was ended after {ended.seconds:,.0f} s")
        case "stopped":
            return _Answer("interrupted", f"{request} was stopped from outside; clear this task to run it again")
        case "died" if ended.value == -signal.SIGKILL:
            return _Answer("memory", f"{request} was killed by the system, as for want of memory")
        case "died":
            how = f"by signal {-ended.value}" if ended.value < 0 else f"with exit code {ended.value}"
            return _Answer("failed", f"{request} ended its process {how}; correct the step, then clear this task")
        case "raised" if isinstance(ended.value, OSError) and ended.value.errno == errno.ENOMEM:
            return _Answer("memory", f"{request} found no memory for its process")
        case "raised":
            return _Answer("failed", f"{request}: {explain(ended.value)}")


def _task_arn() -> str:
    """Return the ARN of the task in which this runs (ECS developer guide, "Task metadata endpoint version 4")."""
    url = f"{os.environ['ECS_CONTAINER_METADATA_URI_V4']}/task"
    with urllib.request.urlopen(url, timeout=_METADATA_SECONDS) as answer:  # noqa: S310
        arn: str = json.load(answer)["TaskARN"]
    return arn


if __name__ == "__main__":
    main()
