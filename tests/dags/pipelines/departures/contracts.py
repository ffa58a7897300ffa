"""What an hour of an airport is."""

from datetime import datetime

from pydantic import BaseModel


class Hour(BaseModel):
    """The departures of one airport in one hour."""

    id: str
    at: datetime
    origin: str
    departures: int
