"""The metrics of invocations that SageMaker reports to CloudWatch, for alarms and dashboards.

They follow "Amazon SageMaker endpoint invocation metrics" in the Developer Guide: namespace AWS/SageMaker, each metric
by EndpointName and VariantName, and again with EndpointConfigName, which separates a new fleet from the old one.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.hosting.runtime import Invoked

NAMESPACE = "AWS/SageMaker"

_PUBLISH_SECONDS = 1.0
_CLOSE_SECONDS = 10.0
_MOST_VALUES = 150  # of one datum, by CloudWatch's limit
_MOST_EXACT = 30  # exact latencies of a second's datum: CloudWatch keeps each of them for days
_MOST_DATA = 100  # of one request, so that it stays well below CloudWatch's 1 MB
_MICROSECONDS = 1_000_000

logger = logging.getLogger(__name__)


class Dimension(TypedDict):
    """A dimension of a metric."""

    Name: str
    Value: str


class Datum(TypedDict):
    """Some values of a metric with their counts, as CloudWatch takes them."""

    MetricName: str
    Dimensions: list[Dimension]
    Unit: str
    Values: list[float]
    Counts: list[float]


class InvocationMetrics:
    """Counts invocations, and publishes their metrics about once a second from a thread of its own.

    What CloudWatch doesn't take is dropped, so no request waits for it.

    Args:
        client: A client of CloudWatch.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._waiting: deque[Invoked] = deque()  # appends and pops are atomic: no lock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._publish_on, name="invocation-metrics", daemon=True)
        self._taken = True

    def start(self) -> None:
        """Start the thread that publishes."""
        self._thread.start()

    def close(self) -> None:
        """Publish what is left, and end the thread."""
        self._stopped.set()
        self._thread.join(_CLOSE_SECONDS)

    def record(self, invoked: Invoked) -> None:
        """Count one invocation."""
        self._waiting.append(invoked)

    def _publish_on(self) -> None:
        while not self._stopped.wait(_PUBLISH_SECONDS):
            self._publish()
        self._publish()

    def _publish(self) -> None:
        grouped: defaultdict[tuple[str, str, str, int], list[Invoked]] = defaultdict(list)
        for _ in range(len(self._waiting)):
            each = self._waiting.popleft()
            grouped[each.endpoint, each.variant.name, each.variant.config, each.variant.instances].append(each)
        data = [datum for key, invoked in grouped.items() for datum in _data(*key, invoked)]
        for start in range(0, len(data), _MOST_DATA):
            self._put(data[start : start + _MOST_DATA])

    def _put(self, data: list[Datum]) -> None:
        try:
            self._client.put_metric_data(Namespace=NAMESPACE, MetricData=data)
        except (BotoCoreError, ClientError) as error:
            if self._taken:
                logger.warning("metrics of invocations are lost until CloudWatch takes them again: %s", error)
            self._taken = False
        else:
            self._taken = True


def _data(endpoint: str, name: str, config: str, instances: int, invoked: list[Invoked]) -> Iterator[Datum]:
    """Yield the data of one variant of one fleet."""
    of_variant: list[Dimension] = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": name}]
    of_fleet: list[Dimension] = [*of_variant, {"Name": "EndpointConfigName", "Value": config}]
    for metric, unit, values in _metrics(invoked, instances):
        for start in range(0, len(values), _MOST_VALUES):
            part = values[start : start + _MOST_VALUES]
            for dimensions in (of_variant, of_fleet):
                yield {
                    "MetricName": metric,
                    "Dimensions": dimensions,
                    "Unit": unit,
                    "Values": [value for value, _ in part],
                    "Counts": [float(count) for _, count in part],
                }


def _metrics(invoked: list[Invoked], instances: int) -> Iterator[tuple[str, str, list[tuple[float, int]]]]:
    """Yield name, unit, and values with counts of each metric. An error counts as 1, any other invocation as 0."""
    statuses = [each.status for each in invoked]
    yield "Invocations", "None", [(1.0, len(invoked))]
    if instances:
        yield "InvocationsPerInstance", "None", [(1.0 / instances, len(invoked))]
    yield "Invocation4XXErrors", "None", _counted(float(400 <= status < 500) for status in statuses)
    yield "Invocation5XXErrors", "None", _counted(float(status >= 500) for status in statuses)
    yield "InvocationModelErrors", "None", _counted(float(not 200 <= status < 300) for status in statuses)
    yield "ModelLatency", "Microseconds", _latencies(each.seconds for each in invoked)
    yield "OverheadLatency", "Microseconds", _latencies(each.overhead_seconds for each in invoked)


def _latencies(seconds: Iterable[float]) -> list[tuple[float, int]]:
    """Return whole microseconds with their counts; rounded to two digits if there are many different ones."""
    exact = _counted(float(round(each * _MICROSECONDS)) for each in seconds)
    if len(exact) <= _MOST_EXACT:
        return exact
    rounded: Counter[float] = Counter()
    for value, count in exact:
        rounded[float(f"{value:.1e}")] += count
    return list(rounded.items())


def _counted(values: Iterable[float]) -> list[tuple[float, int]]:
    return list(Counter(values).items())
