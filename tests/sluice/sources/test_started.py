"""What is recorded of the runs that have started: one object a year, which takes over those of each month."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from tests.calendars import utc
from tests.sluice.lake_contents import keys_below
from tests.sluice.s3_calls import counted

from sluice.errors import UnreadableObject
from sluice.lake.partitions import Partition, between
from sluice.lake.store import Lake
from sluice.sources.started import Started, last_runs, read_started, update_started

LAST_DAYS = list(between(utc("dt=2013-12-30"), utc("dt=2014-01-02")))
HOURS = list(between(utc("dt=2013-01-31/hour=23"), utc("dt=2013-02-01/hour=00")))


def start(lake: Lake, run: str, *partitions: Partition) -> None:
    def started(before: Started, keys: Collection[str]) -> Started:
        return before.model_copy(update={"runs": {**before.runs, **dict.fromkeys(keys, run)}})

    update_started(lake, partitions, started)


def put_month(lake: Lake, month: str, **members: Mapping[str, Any]) -> None:
    lake.put(f"{lake.layout.pipeline}/started/{month}.json", Started(**members).model_dump_json().encode())


@pytest.mark.parametrize(("partitions", "periods"), [(LAST_DAYS, ["2013", "2014"]), (HOURS, ["2013-01", "2013-02"])])
def test_record_is_of_a_year_or_of_a_month_of_hours(
    lake: Lake, partitions: list[Partition], periods: list[str]
) -> None:
    start(lake, "range", *partitions)

    folder = f"{lake.layout.pipeline}/started/"
    assert keys_below(lake, folder) == [f"{folder}{period}.json" for period in periods]
    assert read_started(lake, partitions).runs == {each.key: "range" for each in partitions}


def test_last_run_of_a_partition_is_the_one_that_has_started_last(lake: Lake) -> None:
    start(lake, "range", *LAST_DAYS)
    start(lake, "dt=2013-12-31", LAST_DAYS[1])

    assert last_runs(lake, LAST_DAYS) == {"range", "dt=2013-12-31"}
    assert last_runs(lake, LAST_DAYS[1:2]) == {"dt=2013-12-31"}
    assert last_runs(lake, [LAST_DAYS[0].shift(-1), LAST_DAYS[-1].shift(1)]) == set()


def test_records_of_months_are_read_until_the_one_of_their_year_has_taken_them_over(lake: Lake) -> None:
    """Version 0.2 wrote them."""
    put_month(lake, "2012-12", partitions={"dt=2012-12-31": "0"})
    put_month(lake, "2013-01", partitions={"dt=2013-01-01": "1"}, runs={"dt=2013-01-01": "one"})
    waits = {"dt=2013-02-01": ("weather/dt=2013-01-31",)}
    put_month(lake, "2013-02", partitions={"dt=2013-02-01": "2"}, held_back=waits)
    before = Started(
        partitions={"dt=2013-01-01": "1", "dt=2013-02-01": "2"}, runs={"dt=2013-01-01": "one"}, held_back=waits
    )
    assert read_started(lake, [utc("dt=2013-07-01")]) == before

    start(lake, "two", utc("dt=2013-01-02"))
    after = before.model_copy(update={"runs": {"dt=2013-01-01": "one", "dt=2013-01-02": "two"}})
    assert read_started(lake, [utc("dt=2013-07-01")]) == after

    put_month(lake, "2013-01", partitions={"dt=2013-01-01": "outdated"})
    assert read_started(lake, [utc("dt=2013-07-01")]) == after
    assert read_started(lake, [utc("dt=2012-07-01")]).partitions == {"dt=2012-12-31": "0"}


def test_record_that_names_no_run(lake: Lake) -> None:
    put_month(lake, "2013-12", partitions={"dt=2013-12-31": "0123456789abcdef"})

    assert last_runs(lake, LAST_DAYS) == set()


def test_look_at_ten_thousand_days_reads_a_record_for_each_year(lake: Lake) -> None:
    days = list(between(utc("dt=1990-01-01"), utc("dt=1990-01-01").shift(9_999)))
    start(lake, "range", *days)

    with counted(lake.bucket) as calls:
        found = read_started(lake, days)

    assert found.runs == {each.key: "range" for each in days}
    assert calls == {"list": 1, "get": 28}


def test_record_of_a_newer_schema_is_not_overwritten(lake: Lake) -> None:
    key = lake.layout.started("2013")
    lake.put(key, b'{"schema_version": 2}')

    with pytest.raises(UnreadableObject, match=r"started/2013\.json has schema 2, .*; update Sluice"):
        start(lake, "run", LAST_DAYS[0])
    assert lake.get(key) == b'{"schema_version": 2}'
