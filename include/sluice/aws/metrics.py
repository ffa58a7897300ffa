"""Reads metrics that AWS reports to CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sluice.aws.clients import Aws


@dataclass(frozen=True)
class Metric:
    """A statistic of a metric.

    Args:
        namespace: The namespace, such as ``AWS/SageMaker``.
        name: The name of the metric.
        dimensions: All of its dimensions, by name.
        statistic: What is taken of each minute, such as ``Sum`` or ``p99``.
    """

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    statistic: str


def highest(aws: Aws, metrics: Sequence[Metric], since: datetime, until: datetime) -> list[float | None]:
    """Return the value of each metric in that minute of a time in which it was highest, by one call.

    Args:
        aws: Makes the client.
        metrics: The metrics; at most 500, of at most 100,000 minutes in all (API reference, GetMetricData).
        since: The begin of the time (UTC).
        until: The end of the time (UTC).

    Returns:
        A value for each metric; None where nothing was reported.
    """
    queries = [_query(number, metric) for number, metric in enumerate(metrics)]
    answer = aws.client("cloudwatch").get_metric_data(MetricDataQueries=queries, StartTime=since, EndTime=until)
    values = {each["Id"]: each["Values"] for each in answer["MetricDataResults"]}
    return [max(values.get(query["Id"], ()), default=None) for query in queries]


def _query(number: int, metric: Metric) -> dict[str, object]:
    return {
        "Id": f"metric{number}",
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
            },
            "Period": 60,
            "Stat": metric.statistic,
        },
    }
