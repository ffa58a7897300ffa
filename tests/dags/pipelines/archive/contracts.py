"""What a reading is."""

from datetime import datetime

from pydantic import BaseModel


class Reading(BaseModel):
    """One reading."""

    id: str
    at: datetime
    value: int
