"""Metrics are read from CloudWatch, by their worst minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sluice.aws.clients import Aws
from sluice.aws.metrics import Metric, highest


def test_each_metric_has_the_value_of_its_worst_minute_in_the_time(aws: Aws, own_name: str) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)  # CloudWatch drops what is older than two weeks
    points = [(0.5, 2.0), (10.2, 4.0), (10.4, 5.0), (59, 6.0), (61, 99.0), (-1, 99.0)]
    aws.client("cloudwatch").put_metric_data(
        Namespace=own_name,
        MetricData=[
            {
                "MetricName": "errors",
                "Dimensions": [{"Name": "of", "Value": of}],
                "Timestamp": now - timedelta(minutes=minutes),
                "Value": value + shift,
            }
            for of, shift in (("this", 0.0), ("other", 1_000.0))
            for minutes, value in points
        ],
    )

    found = highest(
        aws,
        [
            Metric(own_name, "errors", {"of": "this"}, "Sum"),
            Metric(own_name, "errors", {"of": "this"}, "Maximum"),
            Metric(own_name, "errors", {"of": "that"}, "Sum"),
        ],
        now - timedelta(hours=1),
        now,
    )

    assert found == [9.0, 6.0, None]
