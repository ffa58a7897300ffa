"""What a function returned becomes the rows of its partitions, in its order and with types that Parquet has."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal
from tests.calendars import utc_ranges

from sluice.errors import SluiceError
from sluice.steps.returned import split_by_time, table_of

FIRST = datetime(2013, 1, 1, tzinfo=UTC)


def test_rows_of_each_partition_keep_their_order() -> None:
    days = random.Random(7).choices((0, 1, 3), k=1000)  # none on the third
    rows = pd.DataFrame({"at": [FIRST + timedelta(days=day) for day in days], "n": range(1000), "text": map(str, days)})

    parts = split_by_time("step", rows.sample(frac=1, random_state=7), "at", utc_ranges("dt=2013-01-01..dt=2013-01-04"))

    order = rows.sample(frac=1, random_state=7)["n"].tolist()
    assert [part["n"].tolist() for part in parts] == [[n for n in order if days[n] == day] for day in range(4)]
    for part in parts:
        assert_frame_equal(part, rows.iloc[part["n"]].reset_index(drop=True))


def test_type_that_parquet_lacks_is_refused_each_time() -> None:
    frame = pd.DataFrame({"good": [1], "span": pd.array([None], pd.ArrowDtype(pa.month_day_nano_interval()))})

    for _ in range(2):
        with pytest.raises(SluiceError, match="step returned a column 'span' that Parquet can't hold"):
            table_of("step", frame)
