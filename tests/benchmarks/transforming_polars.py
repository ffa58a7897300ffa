"""A year of flights from raw to features, by hand: ``python -m tests.benchmarks.transforming_polars BUCKET``.

It reads the raw parts and the drops of weather from S3, computes with polars what the steps of the flights compute, and
writes an object for each step and day under ``by_hand/``. It uses all cores. It has no manifests, no digests, no look
at what has changed and no bound on memory. It takes all bodies to be JSON, and all days to be complete. It prints the
seconds after its imports, and once it has a client.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import boto3
import polars as pl

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
ENVELOPE = ("event_id", "group", "sequence_number", "event_time", "sent_at")
MEMBERS = {
    **dict.fromkeys(("id", "type", "carrier"), pl.String),
    "flight": pl.Int64,
    **dict.fromkeys(("tailnum", "origin", "dest"), pl.String),
    "distance": pl.Int64,
    **dict.fromkeys(("sched_dep", "sched_arr"), pl.String),
    **dict.fromkeys(("dep_delay", "arr_delay"), pl.Int64),
}
ORDER = ("group", "sequence_number", "event_id", "sent_at", "message_id", "receive_count")
LEG = ("carrier", "flight", "origin", "sched_dep")
ZONE = "America/New_York"
DAY = pl.col("event_time").dt.date().alias("day")
PUTS_AT_ONCE = 8


def main(bucket: str) -> None:
    s3 = boto3.client("s3")
    begun = time.perf_counter()

    def put(step: str, day: object, rows: pl.DataFrame) -> None:
        buffer = io.BytesIO()
        rows.write_parquet(buffer, compression="zstd", compression_level=1)
        s3.put_object(Bucket=bucket, Key=f"by_hand/{step}/dt={day}/part-0.parquet", Body=buffer.getvalue())

    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:

        def write(step: str, rows: pl.DataFrame) -> Iterator[Future[None]]:
            for (day,), part in rows.with_columns(DAY).partition_by("day", include_key=False, as_dict=True).items():
                yield pool.submit(put, step, day, part)

        rows, quarantined = conform(scanned(bucket, "flights/raw/events/**/*.parquet"))
        written = [*write("conform", rows), *write("quarantine", quarantined)]
        rows = enrich(rows, scanned(bucket, "drops/weather/**/*.parquet"))
        written += write("enrich", rows)
        written += write("features", features(rows))
        for each in written:
            each.result()
    sys.stdout.write(f"{time.perf_counter() - begun}\n")


def scanned(bucket: str, keys: str) -> pl.LazyFrame:
    options = {"aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"], "aws_allow_http": "true"}
    return pl.scan_parquet(f"s3://{bucket}/{keys}", storage_options=options, missing_columns="insert")


def conform(records: pl.LazyFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row per event id of a day, in group order; and what breaks the contract, or is a conflict."""
    body, times = pl.col("body").str.json_decode(pl.Struct(MEMBERS)), pl.col("sched_dep", "sched_arr")
    rows = (
        records.select(*ORDER, "event_time", "body")
        .with_columns(body.alias("decoded"))
        .unnest("decoded")
        .with_columns(times.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"))
        .with_columns(fits=fits())
        .sort(ORDER)
        .collect()
    )
    fitting = rows.filter("fits")
    first = fitting.unique([DAY, "event_id"], keep="first", maintain_order=True)
    quarantined = rows.filter(~pl.col("fits"))
    if len(first) < len(fitting):
        known = ["event_id", "event_time", *MEMBERS]
        conflicts = fitting.join(first, on=known, how="anti", nulls_equal=True)
        quarantined = pl.concat([quarantined, conflicts])
    return first.select(*ENVELOPE, *MEMBERS), quarantined


def fits() -> pl.Expr:
    """Whether an event is as the contract says."""
    delays = {"dep_delay": "departed", "arr_delay": "arrived"}
    return pl.all_horizontal(
        pl.col("id", "group").str.len_bytes() > 0,
        pl.col("type").is_in(["scheduled", "departed", "arrived", "cancelled", "diverted"]),
        pl.col("carrier").str.contains("^[A-Z0-9]{2}$"),
        pl.col("flight").is_between(1, 9999),
        pl.col("origin", "dest").str.contains("^[A-Z]{3}$"),
        pl.col("distance").is_between(1, 12_500),
        pl.col("sched_dep", "sched_arr").is_not_null(),
        *(pl.col(delay).is_between(-1440, 10_080).fill_null(True) for delay in delays),
        *(pl.col(delay).is_not_null() == (pl.col("type") == owner) for delay, owner in delays.items()),
    ).fill_null(False)


def enrich(rows: pl.DataFrame, weather: pl.LazyFrame) -> pl.DataFrame:
    """Each event with the newest observation at its origin of the six hours before it, in group order."""
    measured = weather.select("origin", pl.col("time").cast(pl.Datetime("us", "UTC")), pl.col(WEATHER).cast(pl.Float64))
    return (
        rows.lazy()
        .with_row_index("place")
        .sort("event_time")
        .join_asof(
            measured.sort("time", *WEATHER),
            left_on="event_time",
            right_on="time",
            by="origin",
            tolerance="6h",
            check_sortedness=False,
        )
        .sort("place")
        .drop("place", "time")
        .collect()
    )


def features(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each flight that arrived: what was known when it was announced, and whether it was late."""
    events = rows.with_row_index("place")  # in group order
    announced = of(events, "scheduled").drop("event_id", "arr_delay").rename({"event_time": "as_of"})
    arrived = of(events, "arrived").select(*LEG, "event_id", "event_time", "arr_delay")
    flights = announced.join(arrived, on=LEG).sort("as_of").with_row_index("row")
    columns = {
        **{name: flights[name] for name in ("event_id", "event_time")},
        **flights.select(**schedule()).to_dict(),
        **{name: flights[name] for name in WEATHER},
        **aircraft(flights, events).to_dict(),
        **airport_state(flights, events),
        "late": (flights["arr_delay"] >= 15).cast(pl.Int64),
    }
    numbers = pl.exclude("event_id", "event_time", "late").cast(pl.Float64)
    return pl.DataFrame(columns).with_columns(numbers).sort("event_time", "event_id")


def of(events: pl.DataFrame, *kinds: str) -> pl.DataFrame:
    return events.filter(pl.col("type").is_in(kinds))


def schedule() -> dict[str, pl.Expr]:
    local = pl.col("sched_dep").dt.convert_time_zone(ZONE)
    codes = {"carrier_code": "carrier", "origin_code": "origin", "destination_code": "dest"}
    return {
        "departure_minute": local.dt.hour().cast(pl.Int64) * 60 + local.dt.minute(),
        "weekday": local.dt.weekday() - 1,
        "block_minutes": (pl.col("sched_arr") - pl.col("sched_dep")).dt.total_seconds() / 60,
        "distance": pl.col("distance"),
        **{name: pl.col(column).str.to_integer(base=36) for name, column in codes.items()},
    }


def aircraft(flights: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """What the events of its aircraft tell of the 24 hours before each flight was announced."""
    known = ("row", "group", "place", "as_of", "sched_dep")
    read = ("group", "place", "type", "event_time", "sched_dep", "sched_arr", "dep_delay", "arr_delay")
    day = pl.col("as_of").dt.date()
    announced = flights.lazy().filter(pl.col("tailnum").is_not_null()).select(known)
    asked = pl.concat([announced.with_columns(day=day), announced.with_columns(day=day - pl.duration(days=1))])
    own = events.lazy().filter(pl.col("type") != "scheduled").select(*read, DAY)
    history = (
        asked.join(own, on=["group", "day"], suffix="_event")
        .filter(
            pl.col("place_event") < pl.col("place"),
            pl.col("event_time").is_between(pl.col("as_of") - pl.duration(hours=24), pl.col("as_of")),
        )
        .sort("row", "place_event")
    )
    arrived, departed, cancelled = (pl.col("type") == kind for kind in ("arrived", "departed", "cancelled"))
    back = pl.col("event_time") + 2 * (pl.col("sched_arr") - pl.col("sched_dep_event"))
    today = pl.col("sched_dep_event").dt.convert_time_zone(ZONE).dt.date()
    is_today = today == pl.col("sched_dep").dt.convert_time_zone(ZONE).dt.date()
    state = history.group_by("row").agg(
        last_arrival_delay=pl.col("arr_delay").filter(arrived).last(),
        last_departure_delay=pl.col("dep_delay").filter(departed).last(),
        arrivals=pl.col("arr_delay").filter(arrived).tail(4),
        since_arrival=(pl.col("as_of") - pl.col("event_time")).filter(arrived).last(),
        airborne=departed.filter(pl.col("type").is_in(["departed", "arrived", "diverted"])).last(),
        slack=(pl.col("sched_dep") - back).filter(departed).last(),
        legs_today=pl.when(departed.any()).then(is_today.filter(departed).sum()),
        last_cancelled=cancelled.filter(departed | cancelled).last(),
    )
    newest = {8 // 2**age: pl.col("arrivals").list.get(-1 - age, null_on_oob=True) for age in range(4)}
    weighed = pl.sum_horizontal(delay * weight for weight, delay in newest.items())
    weight = pl.sum_horizontal(delay.is_not_null() * weight for weight, delay in newest.items())
    of_flights = flights.lazy().select("row").join(state, on="row", how="left", maintain_order="left")
    return of_flights.select(
        "last_arrival_delay",
        "last_departure_delay",
        arrival_delay_trend=pl.when(weight > 0).then(weighed / weight),
        hours_since_arrival=pl.col("since_arrival").dt.total_seconds() / 3600,
        airborne="airborne",
        slack_minutes=pl.col("slack").dt.total_seconds() / 60,
        legs_today="legs_today",
        last_cancelled="last_cancelled",
    ).collect()


def airport_state(flights: pl.DataFrame, events: pl.DataFrame) -> dict[str, pl.Series]:
    """What the events of airports, carriers and routes tell of the hours before each flight was announced."""
    departed, arrived, cancelled = (of(events, kind) for kind in ("departed", "arrived", "cancelled"))
    left_late = departed.group_by(LEG).agg(left_late=pl.col("dep_delay").min())
    arrived = arrived.join(left_late, on=LEG, how="left").with_columns(gain=pl.col("arr_delay") - pl.col("left_late"))
    gained = arrived.drop_nulls("gain")
    leaving = held(departed, 3)
    facts = {
        "departures": (leaving, ["origin"], pl.col("dep_delay")),
        "cancellations": (held(cancelled, 3), ["origin"], pl.lit(1)),
        "overdue": (overdue(events), ["origin"], pl.col("sched_dep").dt.epoch("s")),
        "carrier_departure_delay": (leaving, ["carrier"], pl.col("dep_delay")),
        "destination_arrival_delay": (held(arrived, 3), ["dest"], pl.col("arr_delay")),
        "destination_delay_of_day": (held(arrived, 24), ["dest"], pl.col("arr_delay")),
        "destination_gain_of_day": (held(gained, 24), ["dest"], pl.col("gain")),
        "route_delay_of_day": (held(arrived, 24), ["carrier", "dest"], pl.col("arr_delay")),
        "route_gain_of_day": (held(gained, 24), ["carrier", "dest"], pl.col("gain")),
        "same_flight_delay": (held(arrived, 36), ["carrier", "flight"], pl.col("arr_delay")),
    }
    asked = flights.lazy().select("row", "as_of", "origin", "carrier", "dest", "flight")
    totals = pl.collect_all([totals_of(asked, rows.lazy(), by, value) for rows, by, value in facts.values()])
    found = dict(zip(facts, totals, strict=True))
    departures, cancellations, waiting = (found.pop(name) for name in ("departures", "cancellations", "overdue"))
    return {
        "origin_departures": departures["count"],
        "origin_departure_delay": departures["mean"],
        "origin_cancellations": cancellations["count"],
        "origin_overdue": waiting["count"],
        "origin_overdue_minutes": (waiting["count"] * flights["as_of"].dt.epoch("s") - waiting["total"]) / 60,
        **{name: total["mean"] for name, total in found.items()},
    }


def held(events: pl.DataFrame, hours: int) -> pl.DataFrame:
    """Each event as a fact that holds for some hours after it."""
    return events.with_columns(start="event_time", end=pl.col("event_time") + pl.duration(hours=hours))


def overdue(events: pl.DataFrame) -> pl.DataFrame:
    """Each announced flight from its scheduled departure until it left or was cancelled, or for six hours."""
    settled = of(events, "departed", "cancelled").group_by(LEG).agg(settled=pl.col("event_time").min())
    latest = pl.col("sched_dep") + pl.duration(hours=6)
    end = pl.col("settled").fill_null(latest).clip("sched_dep", latest)
    return of(events, "scheduled").join(settled, on=LEG, how="left").with_columns(start="sched_dep", end=end)


def totals_of(flights: pl.LazyFrame, facts: pl.LazyFrame, by: list[str], value: pl.Expr) -> pl.LazyFrame:
    """The number, total and mean of the facts that began before each flight was announced, and had not ended before."""
    numbers = facts.select(*by, "start", "end", count=pl.lit(1, pl.Int64), total=value.cast(pl.Int64))
    begun = numbers.drop("end").rename({"start": "as_of"})
    ended = numbers.drop("start").rename({"end": "as_of"}).with_columns(-pl.col("count", "total"))
    running = pl.concat([begun, ended]).sort("as_of").with_columns(pl.col("count", "total").cum_sum().over(by))
    known = flights.join_asof(running, on="as_of", by=by, allow_exact_matches=False, check_sortedness=False)
    return known.sort("row").select(
        pl.col("count", "total").fill_null(0),
        mean=pl.when(pl.col("count") > 0).then(pl.col("total") / pl.col("count")),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
