"""What all runtimes outside of the worker share: an attempt has one effect, and its result is found in S3."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from typing_extensions import override

from sluice.compute.attempts import Attempt, Claim, Result, Work, find_work
from sluice.compute.contract import Limits, Runtime, Started, StepResult
from sluice.compute.requests import Request, Size
from sluice.declaration import runtimes as declared
from sluice.errors import RunInterrupted
from sluice.steps.runner import summary

Declared = TypeVar("Declared", bound=declared.Runtime, covariant=True)


class RemoteRuntime(Runtime[Declared]):
    """Runs a step elsewhere. A subclass starts an attempt, and tells whether one that has no result yet still runs."""

    @property
    @abstractmethod
    def size(self) -> Size:
        """The runtime with its size."""

    @property
    @abstractmethod
    def longest(self) -> timedelta:
        """The longest time of a run."""

    @property
    @abstractmethod
    def patience(self) -> timedelta:
        """How long it may take from the start until there is a result, with the wait for a free place."""

    @abstractmethod
    def require_provisioned(self, code: str) -> None:
        """Require that it is there, and that it has this code.

        Args:
            code: The fingerprint of the step's code.

        Raises:
            MissingResource: it is not provisioned.
            SluiceError: it was provisioned with other code or another size.
        """

    @abstractmethod
    def send(self, request: Request) -> Mapping[str, Any]:
        """Start an attempt. It is safe to repeat.

        Args:
            request: The attempt.

        Returns:
            What the runtime needs to find the run again.
        """

    @abstractmethod
    def adopt(self, claim: Claim) -> Mapping[str, Any]:
        """Return what :meth:`send` would have returned for an attempt that runs already.

        Args:
            claim: Who runs it.
        """

    @abstractmethod
    def ended(self, attempt: Attempt, reference: Mapping[str, Any]) -> Result | None:
        """Return how an attempt has ended; None while it may run. It costs one cheap call.

        Args:
            attempt: The attempt.
            reference: What :meth:`send` has returned.
        """

    @property
    @override
    def limits(self) -> Limits:
        return Limits(self.size.memory_mb, self.longest)

    @override
    def start(self, ranges: str) -> Started:
        return self.begin(find_work(self.workspace, self.step.name, ranges), "declared")

    def begin(self, work: Work, reason: str) -> Started:
        """Start what is due, or adopt the attempt that does it already. If nothing is due, the result is there.

        Args:
            work: What the step has to do.
            reason: Why it runs here.

        Raises:
            MissingResource: the runtime is not provisioned.
            SluiceError: it was provisioned with other code, or the work has failed too often.
        """
        if not work.planned.due:
            return Started(f"step {self.step.name!r}", {}, summary(work.planned, changed=()))
        request = self.request(work, reason)
        if work.claim is not None:
            reference = self.adopt(self._own(work.claim))
        else:
            self.require_provisioned(request.code)
            reference = self.send(request)
        found = {**reference, "work": request.work, "attempt": request.attempt}
        return Started(f"{request} ({reason})", found, patience=self.patience)

    def _own(self, claim: Claim) -> Claim:
        """Require that an attempt runs on this kind of runtime: its declaration may have changed meanwhile."""
        if claim.size.kind != self.size.kind:
            raise RunInterrupted(
                f"step {self.step.name!r} of {self.workspace.pipeline.name} runs on {claim.size} already, until "
                f"{claim.until.isoformat(timespec='seconds')} at the latest; clear this task then"
            )
        return claim

    def request(self, work: Work, reason: str) -> Request:
        """Return the request of the next attempt.

        Args:
            work: What the step has to do.
            reason: Why it runs here.

        Raises:
            SluiceError: too many attempts have failed.
        """
        return Request(
            pipeline=self.workspace.pipeline.name,
            step=self.step.name,
            partitions=work.ranges,
            code=work.planned.code,
            work=work.planned.digest,
            attempt=work.next.number,
            size=self.size,
            reason=reason,
            seconds=int(self.longest.total_seconds()),
            dollars_per_second=self.dollars_per_second,
        )

    @override
    def look(self, reference: Mapping[str, Any]) -> StepResult | None:
        result = self.ended(Attempt(self.step.name, reference["work"], reference["attempt"]), reference)
        return None if result is None else result.unwrap()

    def conclude(self, attempt: Attempt, result: Result) -> Result:
        """Record how an attempt has ended that has left no result itself; return what is on record.

        Args:
            attempt: The attempt.
            result: How it has ended, as the service tells.
        """
        attempt.finish(self.workspace.lake, result)
        return attempt.result(self.workspace.lake) or result
