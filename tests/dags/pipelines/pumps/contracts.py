"""What the body of a reading must look like."""

from datetime import datetime

from pydantic import BaseModel


class Reading(BaseModel):
    """The vibration and the heat of a pump, and whether it has failed within the hour."""

    id: str
    at: datetime
    vibration: float
    heat: float
    failed: int | None = None
