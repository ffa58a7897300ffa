"""The body of an event."""

from datetime import datetime

from pydantic import BaseModel


class Reading(BaseModel):
    """One reading of a meter."""

    id: str
    at: datetime
    value: int
