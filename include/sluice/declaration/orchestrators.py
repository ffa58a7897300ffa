"""Who runs a training, as a user declares it, if it is not Airflow itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from sluice.declaration.checks import check_duration
from sluice.errors import DeclarationError

# Amazon EventBridge Scheduler user guide, "Schedule types".
_SCHEDULE = re.compile(r"rate\(\d+ (minute|minutes|hour|hours|day|days)\)|cron\([^()]+\)")
_LONGEST_POLL = timedelta(hours=1)


@dataclass(frozen=True)
class StepFunctions:
    """A state machine of AWS Step Functions runs the training, with or without Airflow.

    It makes the same calls and leaves the same records as Airflow's own tasks, so each adopts what the other has begun.
    Airflow's ``train`` then starts the machine and waits for it.

    Args:
        schedule: When EventBridge starts the machine (UTC), such as ``rate(7 days)`` or ``cron(0 3 ? * MON *)``; None:
            only Airflow and people start it.
        poll: How long it waits between two looks at a job, from a second to an hour. It waits longer where the longest
            wait would not fit into an execution of the machine: a 500th of it.

    Raises:
        DeclarationError: a member has a wrong form or is out of its range.
    """

    schedule: str | None = None
    poll: timedelta = timedelta(minutes=1)

    def __post_init__(self) -> None:
        if self.schedule is not None and not _SCHEDULE.fullmatch(str(self.schedule)):
            raise DeclarationError(
                f"StepFunctions: schedule={self.schedule!r} is no schedule of EventBridge; write 'rate(7 days)' or "
                f"'cron(0 3 ? * MON *)'"
            )
        check_duration("StepFunctions", "poll", self.poll, timedelta(seconds=1), _LONGEST_POLL)
