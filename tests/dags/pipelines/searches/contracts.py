"""What an offer is."""

from datetime import datetime

from pydantic import BaseModel


class Offer(BaseModel):
    """One offer in the answer to a search, and how interesting it was: 0 not seen, 1 seen, 2 opened, 3 booked."""

    id: str
    at: datetime
    search: int
    price: float
    stars: float | None
    interest: int
