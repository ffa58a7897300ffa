"""The metrics of invocations in CloudWatch, by function.

Source: AWS Lambda Developer Guide, "Types of metrics for Lambda functions".
"""

from __future__ import annotations

import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.emulator.functions.outcome import THROTTLED, Outcome

_NAMESPACE = "AWS/Lambda"

logger = logging.getLogger("functions")


def publish(client: Any, function: str, outcome: Outcome, seconds: float) -> None:
    """Publish the metrics of one invocation; it doesn't fail if that is impossible.

    Args:
        client: A client of CloudWatch.
        function: The function's name.
        outcome: How the invocation ended.
        seconds: How long it took.
    """
    throttles = ("Throttles", float(outcome.status == THROTTLED), "Count")
    of_a_run = (
        ("Invocations", 1.0, "Count"),
        ("Errors", float(outcome.has_failed), "Count"),
        ("Duration", seconds * 1000, "Milliseconds"),
    )
    found = (throttles, *(() if outcome.status == THROTTLED else of_a_run))
    dimensions = [{"Name": "FunctionName", "Value": function}]
    data = [{"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit} for name, value, unit in found]
    try:
        client.put_metric_data(Namespace=_NAMESPACE, MetricData=data)
    except (BotoCoreError, ClientError) as error:
        logger.warning("function %s: CloudWatch lacks its metrics: %s", function, error)
