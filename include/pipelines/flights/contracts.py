"""What the body of an event must look like. Whatever does not fit is quarantined by the ``conform`` step."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


def _with_offset(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise PydanticCustomError("offset_missing", "a time needs an offset, as in 2013-01-01T10:15:00+00:00")
    return time


Airport = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Delay = Annotated[int | None, Field(ge=-1440, le=10_080)]  # minutes: from a day early to a week late
Time = Annotated[datetime, AfterValidator(_with_offset)]


class FlightEvent(BaseModel):
    """One thing that happened to one flight, as the operator knew it then.

    Every event carries the schedule. Only ``departed`` also has ``dep_delay``, only ``arrived`` has ``arr_delay``
    (minutes, early is negative); elsewhere they are null or absent. ``group`` is the aircraft's tail number, or
    ``UNK-<carrier>`` while there is none. ``distance`` is in miles. Times are ISO 8601 with an offset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1)]
    group: Annotated[str, Field(min_length=1)]
    type: Literal["scheduled", "departed", "arrived", "cancelled", "diverted"]
    event_time: Time
    carrier: Annotated[str, Field(pattern=r"^[A-Z0-9]{2}$")]
    flight: Annotated[int, Field(gt=0, le=9999)]
    tailnum: str | None
    origin: Airport
    dest: Airport
    distance: Annotated[int, Field(gt=0, le=12_500)]
    sched_dep: Time
    sched_arr: Time
    dep_delay: Delay = None
    arr_delay: Delay = None

    @model_validator(mode="after")
    def _delays_fit_the_type(self) -> Self:
        for delay, owner in (("dep_delay", "departed"), ("arr_delay", "arrived")):
            given = getattr(self, delay) is not None
            if given != (self.type == owner):
                fault = "unexpected" if given else "missing"
                raise PydanticCustomError(f"{delay}_{fault}", "a delay comes with its own type of event")
        return self
