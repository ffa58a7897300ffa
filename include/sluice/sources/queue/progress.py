"""What is known about a queue: the evidence that everything sent before a moment has landed.

SQS's counters are approximate, and settle about a minute after the last change ("at least 1 minute after the producers
stop sending messages", SQS API reference, GetQueueAttributes). So one zero proves nothing. There are two proofs, and
neither needs a clock of this machine: each moment is the service's time.

- **Quiet**: all counters were zero at each look over the settling time, and no drain received anything in between. Then
  everything that was sent before the last look less the settling time has landed.
- **Caught up**: two drains ran dry at moments further apart than the visibility time-out plus two minutes, and each
  drain in between ran dry as well. What another reader had hidden at the first moment was visible by the second, and
  was received. So everything that was sent before the first moment has landed.

A drain that dies may hide messages, and can't say so. So each drain leaves a mark before it receives, and takes it away
when it ends. While a mark is there, nothing is concluded, until the messages of a dead drain must be visible again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sluice.declaration.sources import SETTLING
from sluice.lake.manifests import latest
from sluice.landing.agreement import last_times


@dataclass(frozen=True)
class Look:
    """The counters of a queue at one moment. They are approximate.

    Attributes:
        at: The service's time (UTC).
        waiting: How many messages wait.
        in_flight: How many are hidden by a reader.
        delayed: How many are delayed.
        visibility: The queue's visibility time-out.
    """

    at: datetime
    waiting: int
    in_flight: int
    delayed: int
    visibility: timedelta

    @property
    def backlog(self) -> int:
        """How many messages have not been deleted."""
        return self.waiting + self.in_flight + self.delayed


class Mark(BaseModel):
    """A drain that has begun and has not ended. It runs, or it has died.

    Attributes:
        until: When each message that it may hide is visible again, if it has died (UTC).
        receives: How often the messages that it holds have been received, at most.
    """

    model_config = ConfigDict(frozen=True)

    until: datetime
    receives: int = 1


class QueueProgress(BaseModel):
    """How far a queue has landed. It is an object of the lake, which looks and drains change. All times are in UTC.

    Attributes:
        schema_version: The version of this JSON.
        landed_until: Everything that was sent before this moment has landed; None while nothing has proved it.
        disturbed: When a look last showed a message, or a drain last ended that had received something.
        quiet_since: The first look since then that showed no message; None if there was none.
        caught_up_since: When a drain last ran dry that begins the proof of being caught up; None without one.
        drains: The marks of the drains.
        times: The middle event times of the last flushes.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    landed_until: datetime | None = None
    disturbed: datetime | None = None
    quiet_since: datetime | None = None
    caught_up_since: datetime | None = None
    drains: Mapping[str, Mark] = Field(default_factory=dict)
    times: tuple[datetime, ...] = ()

    def looked(self, look: Look) -> QueueProgress:
        """Return the progress after a look at the counters."""
        if look.backlog:
            return self._disturbed(look.at)
        if self._may_hide(look.at) or (self.disturbed and look.at < self.disturbed):
            return self._with(quiet_since=None)
        begins = self.quiet_since is None or self._may_hide(self.quiet_since)
        return self._with(quiet_since=look.at) if begins else self

    def settled(self, look: Look, settling: timedelta) -> QueueProgress:
        """Return the progress after a look that may end a quiet time.

        Args:
            look: The counters.
            settling: How long the counters have to be zero. Zero says that they are exact, as those of an emulator:
                then they count what a drain that died hides as well.
        """
        after = self.looked(look)
        if not settling and not look.backlog:
            return after._with(landed_until=latest([after.landed_until, look.at]))
        if after.quiet_since is None or look.at - after.quiet_since < settling:
            return after
        return after._with(landed_until=latest([after.landed_until, look.at - settling]))

    def is_settled(self, look: Look, settling: timedelta) -> bool:
        """Return whether everything that was sent before the look less the settling time has landed.

        Args:
            look: The counters.
            settling: How long the counters have to be zero.
        """
        return self.landed_until is not None and self.landed_until >= look.at - settling

    def begun(self, drain: str, until: datetime) -> QueueProgress:
        """Return the progress with the mark of a drain that begins.

        Args:
            drain: A name that no other drain has.
            until: When each message that it may hide is visible again, if it dies (UTC).
        """
        return self._with(drains={**self.drains, drain: Mark(until=until)})

    def redelivered(self, drain: str, receives: int) -> QueueProgress:
        """Return the progress after a drain has received messages that were received before.

        Args:
            drain: The name of the drain.
            receives: How often they have been received now, at most.
        """
        return self._with(drains={**self.drains, drain: self.drains[drain].model_copy(update={"receives": receives})})

    def ended(
        self, drain: str, look: Look, *, is_dry: bool, received: int, times: Iterable[datetime | None]
    ) -> QueueProgress:
        """Return the progress after a drain has ended, and holds nothing.

        Args:
            drain: The name of the drain.
            look: The counters afterwards.
            is_dry: Whether a long poll returned nothing after the drain had deleted all that it received.
            received: How many messages it received.
            times: The middle event times of its flushes.
        """
        others = {name: mark for name, mark in self.drains.items() if name != drain}
        after = self._with(drains=others, times=last_times(self.times, times))
        if received or not is_dry:
            after = after._disturbed(look.at)
        if not is_dry:
            return after._with(caught_up_since=None)
        if after._may_hide(look.at) or look.delayed:
            return after
        # Only now is nothing left of the drains that died: their marks go.
        return after._caught_up(look)._with(drains={})

    def receives(self, drain: str) -> int:
        """Return how often messages will have been received, at most, that other drains have left if they have died.

        A drain that holds messages for the first time leaves so little of a danger that it does not count.

        Args:
            drain: The name of the drain that asks.
        """
        held = max((mark.receives for name, mark in self.drains.items() if name != drain), default=1)
        return held + 1 if held > 1 else 1

    def _caught_up(self, look: Look) -> QueueProgress:
        since = self.caught_up_since
        if since is None or self._may_hide(since):
            return self._with(caught_up_since=look.at)
        if look.at - since <= look.visibility + SETTLING:
            return self
        return self._with(landed_until=latest([self.landed_until, since]), caught_up_since=look.at)

    def _may_hide(self, moment: datetime) -> bool:
        """Whether a drain that has left its mark may have hidden a message at that moment, or later."""
        return any(mark.until > moment for mark in self.drains.values())

    def _disturbed(self, at: datetime) -> QueueProgress:
        return self._with(quiet_since=None, disturbed=latest([self.disturbed, at]))

    def _with(self, **changes: Any) -> QueueProgress:
        return self.model_copy(update=changes)
