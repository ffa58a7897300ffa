"""The CloudWatch alarms that may roll a deployment back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError


class AlarmsUnknownError(Exception):
    """CloudWatch doesn't tell; the message says why."""


class Alarms:
    """Looks at alarms by name, of metrics and composite ones, at most ten at once (one page of DescribeAlarms)."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of the names that no alarm has.

        Raises:
            AlarmsUnknownError: CloudWatch doesn't tell.
        """
        found = {alarm["AlarmName"] for alarm in self._described(names)}
        return [name for name in names if name not in found]

    def gone_off(self, names: Sequence[str]) -> list[str]:
        """Those of the names whose alarms are in the state ALARM; data that is insufficient is no alarm.

        Raises:
            AlarmsUnknownError: CloudWatch doesn't tell.
        """
        return [alarm["AlarmName"] for alarm in self._described(names) if alarm["StateValue"] == "ALARM"]

    def _described(self, names: Sequence[str]) -> list[dict[str, Any]]:
        if not names:
            return []
        try:
            told = self._client.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        except (BotoCoreError, ClientError) as error:
            raise AlarmsUnknownError(f"CloudWatch does not tell the state of {', '.join(names)}: {error}") from error
        return [*told["MetricAlarms"], *told["CompositeAlarms"]]
