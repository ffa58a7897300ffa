"""The weather of 2013 as someone else would drop it: one Parquet object a UTC day, and a marker when it is whole."""

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
    """The observations (as ``data.weather`` gives them) of one UTC day, by time and origin; maybe none."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    inside = (observations["time"] >= start) & (observations["time"] < start + timedelta(days=1))
    return observations[inside].sort_values(["time", "origin"], ignore_index=True)


def drop_weather(s3: S3Client, bucket: str, observations: pd.DataFrame, days: Sequence[date]) -> int:
    """Puts the weather of each of ``days`` under ``drops/weather/dt=…/``, the marker last; returns how many were new.

    A day whose marker stands is left alone. A day without observations gets an object without rows, so that
    whoever waits for it does not wait for ever.
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
