"""The weather of 2013 as another system would drop it: one Parquet object a UTC day, then a marker."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "drops/weather/"
MARKER = "_SUCCESS"


def weather_of_day(observations: pd.DataFrame, day: date) -> pd.DataFrame:
    """Return the observations of one day, sorted by time and origin; there may be none.

    Args:
        observations: Rows as :func:`pipelines.flights.data.weather` returns them.
        day: A UTC day.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    inside = (observations["time"] >= start) & (observations["time"] < start + timedelta(days=1))
    return observations[inside].sort_values(["time", "origin"], ignore_index=True)


def drop_weather(s3: S3Client, bucket: str, observations: pd.DataFrame, days: Sequence[date]) -> int:
    """Put the weather of each day under ``drops/weather/dt=…/``, the marker last.

    A day that has its marker is not written again. A day without observations gets an object without rows, because a
    run that waits for the day needs its marker.

    Args:
        s3: The client that writes.
        bucket: The pipeline's bucket.
        observations: Rows as :func:`pipelines.flights.data.weather` returns them.
        days: UTC days.

    Returns:
        The number of days that were written.
    """
    new = [day for day in days if not _exists(s3, bucket, f"{_folder(day)}{MARKER}")]
    for day in new:
        buffer = io.BytesIO()
        weather_of_day(observations, day).to_parquet(buffer, index=False)
        s3.put_object(Bucket=bucket, Key=f"{_folder(day)}weather.parquet", Body=buffer.getvalue())
        s3.put_object(Bucket=bucket, Key=f"{_folder(day)}{MARKER}", Body=b"")
    return len(new)


def _folder(day: date) -> str:
    return f"{PREFIX}dt={day.isoformat()}/"


def _exists(s3: S3Client, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True
