"""What the body of an event must look like."""

from datetime import datetime

from pydantic import BaseModel


class Event(BaseModel):
    """One event."""

    id: str
    event_time: datetime
    distance: float
    late: int | None = None
