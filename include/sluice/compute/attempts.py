"""The attempts of one piece of work that runs elsewhere: who has begun each, and how it has ended.

::

    s3://BUCKET/PIPELINE/computed/STEP/<digest of the work>/<attempt>-{claim,result}.json

An attempt is claimed by a conditional put. So it has one effect, however often a service delivers its event. Its result
outlives both the task that started it and the process that ran it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.compute.requests import Size
from sluice.errors import RunInterrupted, SluiceError, StepOutgrown
from sluice.lake.store import Lake
from sluice.steps.plan import Plan, plan
from sluice.workspace import Workspace

# How an attempt has ended. After "interrupted" the same may succeed a moment later.
Outcome = Literal["done", "failed", "interrupted", "memory", "time"]

_MOST_FAILURES = 20
_LONGEST_LOG = 500  # characters of a message


class Claim(BaseModel):
    """Who runs an attempt. Nobody else does.

    Attributes:
        by: The id of the invocation, or the ARN of the task.
        size: Where it runs.
        until: When it has ended at the latest (UTC).
        log: The log group and the log stream, as ``group:stream``.
    """

    model_config = ConfigDict(frozen=True)

    by: str
    size: Size
    until: datetime
    log: str


class Result(BaseModel):
    """How an attempt has ended.

    Attributes:
        outcome: Whether it is done, or why not.
        message: Why not, in one line with the next action; empty if it is done.
        size: Where it ran.
        summary: The summary of the step, if it is done.
        manifests: The keys of the manifests that it left, if it is done.
        seconds: How long it took.
        peak_mb: The most resident memory, in MiB.
        dollars: The list price of these seconds, in US dollars.
        log: The last lines of what was printed.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Outcome
    message: str = ""
    size: Size
    summary: Mapping[str, Any] = Field(default_factory=dict)
    manifests: tuple[str, ...] = ()
    seconds: float = 0
    peak_mb: int = 0
    dollars: float = 0
    log: tuple[str, ...] = ()

    def unwrap(self) -> Mapping[str, Any]:
        """Return the summary, and in ``ran`` where the step ran and what it needed.

        Raises:
            StepOutgrown: the step needs more memory or time.
            RunInterrupted: the attempt was interrupted; another one may succeed.
            SluiceError: it failed for another reason.
        """
        if self.outcome == "done":
            needed = f"{self.seconds:,.1f} s, at most {self.peak_mb:,} MB, {self.dollars:.6f} USD"
            return {**self.summary, "ran": f"on {self.size}: {needed}"}
        tail = " | ".join(" ".join(line.split()) for line in self.log if line.strip())
        log = f"; its log ends: {tail[-_LONGEST_LOG:]}" if tail else ""
        raise _ERRORS.get(self.outcome, SluiceError)(f"{self.message}{log}")


_ERRORS: Mapping[Outcome, type[SluiceError]] = {
    "interrupted": RunInterrupted,
    "memory": StepOutgrown,
    "time": StepOutgrown,
}


@dataclass(frozen=True)
class Attempt:
    """One attempt of a piece of work.

    Attributes:
        step: The name of the step.
        work: The digest of the work.
        number: 1 for the first.
    """

    step: str
    work: str
    number: int

    def claim(self, lake: Lake, claim: Claim) -> bool:
        """Claim the attempt; return False if it is another's.

        Args:
            lake: The pipeline's lake.
            claim: Who runs it from now on.
        """
        return lake.create(self._key(lake, "claim"), claim.model_dump_json().encode()) or self.claimed(lake) == claim

    def claimed(self, lake: Lake) -> Claim | None:
        """Return who runs the attempt; None if nobody has begun it."""
        return lake.stored(self._key(lake, "claim"), Claim).value

    def finish(self, lake: Lake, result: Result) -> None:
        """Record how the attempt has ended. The first record stays.

        Args:
            lake: The pipeline's lake.
            result: How it has ended.
        """
        lake.create(self._key(lake, "result"), result.model_dump_json().encode())

    def give_up(self, lake: Lake, claim: Claim) -> Result | None:
        """Record that an attempt has left no result in its time; return what is on record.

        Args:
            lake: The pipeline's lake.
            claim: Who has run it.
        """
        why = f"{claim.by} left no result on {claim.size} until {claim.until.isoformat(timespec='seconds')}"
        self.finish(lake, Result(outcome="interrupted", message=why, size=claim.size))
        return self.result(lake)

    def result(self, lake: Lake) -> Result | None:
        """Return how the attempt has ended; None if it has not."""
        return lake.stored(self._key(lake, "result"), Result).value

    def _key(self, lake: Lake, what: str) -> str:
        return lake.layout.computed(self.step, self.work, f"{self.number}-{what}.json")


@dataclass(frozen=True)
class Work:
    """A step over some partitions, and what became of it until now.

    Attributes:
        ranges: The partitions that were asked for.
        planned: What the step has to do for them.
        ended: How its attempts have ended, in order.
        claim: Who runs the next attempt already; None if nobody has begun it.
    """

    ranges: str
    planned: Plan
    ended: Sequence[Result]
    claim: Claim | None

    @property
    def next(self) -> Attempt:
        """The attempt that runs, or is to be started.

        Raises:
            SluiceError: too many have failed.
        """
        # Work that was done is due again where its inputs or its code are changed, and changed back.
        failed = [each for each in self.ended if each.outcome != "done"]
        if len(failed) >= _MOST_FAILURES:
            raise SluiceError(
                f"step {self.planned.step.name!r} over {self.ranges} has failed {_MOST_FAILURES} times with the same "
                f"inputs and code, at last: {failed[-1].message}; change the step or its runtime"
            )
        return Attempt(self.planned.step.name, self.planned.digest, len(self.ended) + 1)


def find_work(workspace: Workspace, step: str, ranges: str) -> Work:
    """Read what a step has to do, and what became of the same work until now.

    Args:
        workspace: The workspace of the pipeline that declares the step.
        step: The name of the step.
        ranges: The partitions, as ranges.

    Raises:
        MissingResource: a step before it has not made a partition.
        DeclarationError: there is no such step.
    """
    planned, lake = plan(workspace, step, ranges), workspace.lake
    ended: list[Result] = []
    claim: Claim | None = None
    while planned.due and claim is None:
        attempt = Attempt(step, planned.digest, len(ended) + 1)
        result, claim = attempt.result(lake), attempt.claimed(lake)
        if result is None and claim is not None and lake.now() > claim.until:
            result = attempt.give_up(lake, claim)
        if result is not None:
            ended.append(result)
            claim = None
        elif claim is None:
            break
    return Work(ranges, planned, ended, claim)
