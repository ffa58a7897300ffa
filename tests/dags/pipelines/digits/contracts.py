"""What a drawing is."""

from datetime import datetime

from pydantic import BaseModel


class Drawing(BaseModel):
    """One drawing: 64 pixels from 0 to 16, row by row, with commas between them."""

    id: str
    at: datetime
    pixels: str
    digit: int
