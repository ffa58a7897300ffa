"""Runs steps in AWS Lambda.

An invocation is asynchronous. Its function claims the attempt, so that a second delivery of the event, or a second
invocation after a lost answer, has no effect; and it leaves the result in S3, which a look finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from typing_extensions import override

from sluice.aws.failures import is_absent
from sluice.aws.template import Fragment
from sluice.compute.artefacts import Artefacts
from sluice.compute.attempts import Attempt, Claim, Outcome, Result
from sluice.compute.function_template import function_template
from sluice.compute.logs import find_line, last_lines
from sluice.compute.names import log_group, own_name
from sluice.compute.prices import lambda_price
from sluice.compute.remote import RemoteRuntime
from sluice.compute.requests import Request, Size
from sluice.compute.versions import code_of_function, require_same_code
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.runtimes import Lambda
from sluice.declaration.steps import Conform, Step
from sluice.errors import MissingResource, SluiceError

# How long Lambda keeps an event while all of the reserved concurrency is in use (its most: six hours).
EVENT_AGE = timedelta(hours=6)
_AROUND_THE_RUN = timedelta(minutes=5)  # for the start of a function, and its end
_REPORT = "REPORT RequestId: "  # the last line of each invocation
_OF_EVERY_INVOCATION = ("INIT_START ", "START RequestId: ", "END RequestId: ", _REPORT)
# A function that is killed leaves no result. So its log is read, but not at each look: once a minute.
_BETWEEN_CHECKS, _CHECK = timedelta(minutes=1), timedelta(seconds=6)
# What Lambda writes when it ends a function (AWS Lambda developer guide, "Troubleshoot execution issues in Lambda").
_CAUSES: Mapping[str, Outcome] = {
    "Task timed out": "time",
    "Runtime.OutOfMemory": "memory",
    "signal: killed": "memory",
}


class LambdaRuntime(RemoteRuntime[Lambda]):
    """One function for each step, whose reserved concurrency bounds how many runs there are at once."""

    @classmethod
    @override
    def template(
        cls, pipeline: Pipeline, step: Conform | Step, declared: Lambda, artefacts: Artefacts
    ) -> tuple[Fragment, ...]:
        return (function_template(pipeline, step, declared, artefacts, int(EVENT_AGE.total_seconds())),)

    @property
    @override
    def size(self) -> Size:
        return Size(kind="Lambda", memory_mb=self.declared.memory_mb)

    @property
    @override
    def longest(self) -> timedelta:
        return timedelta(seconds=self.declared.seconds)

    @property
    @override
    def dollars_per_second(self) -> float:
        return lambda_price(self.declared.memory_mb)

    @property
    @override
    def patience(self) -> timedelta:
        return self.longest + EVENT_AGE + _AROUND_THE_RUN

    @property
    def _function(self) -> str:
        return own_name(self.workspace.pipeline, self.step)

    @override
    def require_provisioned(self, code: str) -> None:
        advice = f"run `sluice provision {self.workspace.pipeline.name}`"
        try:
            found = self.workspace.aws.client("lambda").get_function_configuration(FunctionName=self._function)
        except ClientError as error:
            if not is_absent(error):
                raise
            raise MissingResource(
                f"step {self.step.name!r} runs on Lambda, but there is no function {self._function}; {advice}"
            ) from error
        pipeline = self.workspace.pipeline.name
        require_same_code(
            f"function {self._function}", code_of_function(found), f"step {self.step.name!r}", code, pipeline
        )
        if found["MemorySize"] != self.declared.memory_mb or found["Timeout"] != self.declared.seconds:
            raise SluiceError(
                f"function {self._function} has {found['MemorySize']} MB and {found['Timeout']} s, and the declaration "
                f"{self.declared.memory_mb} MB and {self.declared.seconds} s; {advice}"
            )

    @override
    def send(self, request: Request) -> Mapping[str, Any]:
        sent = self.workspace.aws.client("lambda").invoke(
            FunctionName=self._function, InvocationType="Event", Payload=request.model_dump_json().encode()
        )
        return self._reference(sent["ResponseMetadata"]["RequestId"])

    @override
    def adopt(self, claim: Claim) -> Mapping[str, Any]:
        return self._reference(claim.by)

    def _reference(self, request: str) -> Mapping[str, Any]:
        return {"request": request, "since": self.workspace.lake.now().isoformat()}

    @override
    def ended(self, attempt: Attempt, reference: Mapping[str, Any]) -> Result | None:
        result, since = attempt.result(self.workspace.lake), datetime.fromisoformat(reference["since"])
        if result is not None or (self.workspace.lake.now() - since) % _BETWEEN_CHECKS >= _CHECK:
            return result
        claim = attempt.claimed(self.workspace.lake)
        lost = self._never_begun(reference["request"], since) if claim is None else self._killed(claim)
        return None if lost is None else self.conclude(attempt, lost)

    def _never_begun(self, request: str, since: datetime) -> Result | None:
        """Return how an invocation has ended that did not claim its attempt; None if it may still begin."""
        group = log_group(self.workspace.pipeline, self.step)
        log = find_line(self.workspace, group, f"{_REPORT}{request}", since)
        if log is not None:
            why = f"function {self._function} failed before it began (request {request})"
            return Result(outcome="failed", message=why, size=self.size, log=_own(last_lines(self.workspace, log)))
        if self.workspace.lake.now() - since > self.longest + EVENT_AGE:
            why = f"function {self._function} did not begin within {EVENT_AGE}; see its throttles and errors"
            return Result(outcome="interrupted", message=why, size=self.size)
        return None

    def _killed(self, claim: Claim) -> Result | None:
        """Return how a function has ended that was killed with all it had; None if it may still run."""
        log = last_lines(self.workspace, claim.log)
        if self.workspace.lake.now() <= claim.until and not any(f"{_REPORT}{claim.by}" in line for line in log):
            return None
        outcome = next((found for text, found in _CAUSES.items() if any(text in line for line in log)), "interrupted")
        message = f"function {self._function} ended without a result (request {claim.by})"
        return Result(outcome=outcome, message=message, size=claim.size, log=_own(log))


def _own(log: Sequence[str]) -> tuple[str, ...]:
    """Return the lines without those that Lambda writes about every invocation."""
    return tuple(line for line in log if not line.startswith(_OF_EVERY_INVOCATION))
