"""What the SageMaker stand-in and its users rely on in CloudWatch: metrics, and alarms that go off by themselves."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conftest import Cloud
from tests.contract.conftest import MakeQueue, queue_arn
from tests.contract.test_cloudformation import WAIT

from localcloud.testing.waiting import wait_for

NAMESPACE = "Contract"


def dimensions(endpoint: str) -> list[dict[str, str]]:
    return [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "all"}]


def report(cloudwatch: Any, endpoint: str, *values: float, age: float = 0.0, unit: str = "None") -> None:
    """Report values of the metric Errors of an endpoint, ``age`` seconds ago."""
    at = datetime.fromtimestamp(time.time() - age, tz=UTC)
    datum = {"MetricName": "Errors", "Dimensions": dimensions(endpoint), "Timestamp": at, "Unit": unit}
    cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=[{**datum, "Value": value} for value in values])


def put_alarm(cloudwatch: Any, name: str, **changes: Any) -> None:
    """Create an alarm for more than two errors within a minute, with these changes; None leaves a member out."""
    request = {
        "AlarmName": name,
        "Namespace": NAMESPACE,
        "MetricName": "Errors",
        "Dimensions": dimensions(name),
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 2.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    cloudwatch.put_metric_alarm(**{key: value for key, value in (request | changes).items() if value is not None})


def alarm_of(cloudwatch: Any, name: str) -> Any:
    [alarm] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return alarm


def comes_to(cloudwatch: Any, name: str, state: str) -> Any:
    def probe() -> Any:
        alarm = alarm_of(cloudwatch, name)
        return alarm if alarm["StateValue"] == state else None

    return wait_for(probe, seconds=15, what=f"{state} of alarm {name}")


def test_alarm_goes_off_when_its_metric_crosses_the_threshold(cloudwatch: Any, name: str) -> None:
    put_alarm(cloudwatch, name)
    comes_to(cloudwatch, name, "OK")
    report(cloudwatch, name, 1.0, 1.0)
    assert alarm_of(cloudwatch, name)["StateValue"] == "OK"
    report(cloudwatch, name, 1.0)
    alarm = comes_to(cloudwatch, name, "ALARM")
    assert alarm["StateReason"] == (
        "Threshold Crossed: 1 out of the last 1 datapoints [3.0] was greater than the threshold (2.0) "
        "(minimum 1 datapoint for OK -> ALARM transition)."
    )


def test_only_the_alarms_own_dimensions_count(cloudwatch: Any, name: str) -> None:
    put_alarm(cloudwatch, name)
    report(cloudwatch, f"{name}-other", 100.0)
    report(cloudwatch, name, 1.0)
    assert alarm_of(cloudwatch, name)["StateValue"] == "OK"
    put_alarm(cloudwatch, f"{name}-none", Dimensions=[])
    assert alarm_of(cloudwatch, f"{name}-none")["StateValue"] == "OK"


@pytest.mark.parametrize(
    ("statistic", "state"),
    [
        ({"Statistic": "Sum"}, "ALARM"),  # 6
        ({"Statistic": "Average"}, "OK"),  # 2
        ({"Statistic": "Maximum"}, "ALARM"),  # 4
        ({"Statistic": "Minimum"}, "OK"),  # 0
        ({"Statistic": "SampleCount"}, "ALARM"),  # 3
        ({"ExtendedStatistic": "p50"}, "OK"),  # 2
        ({"ExtendedStatistic": "p99"}, "ALARM"),  # 3.96
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else value,
)
def test_alarm_evaluates_each_statistic(cloudwatch: Any, name: str, statistic: dict[str, str], state: str) -> None:
    report(cloudwatch, name, 0.0, 2.0, 4.0)
    put_alarm(cloudwatch, name, **{"Statistic": None} | statistic)
    assert alarm_of(cloudwatch, name)["StateValue"] == state


def put_alarm_of(cloudwatch: Any, name: str, **changes: Any) -> str:
    put_alarm(cloudwatch, name, **changes)
    state: str = alarm_of(cloudwatch, name)["StateValue"]
    return state


def test_each_period_is_evaluated_separately(cloudwatch: Any, name: str) -> None:
    for age in (10, 70, 130):
        report(cloudwatch, name, 2.0 if age == 70 else 3.0, age=age)
    assert put_alarm_of(cloudwatch, name, EvaluationPeriods=2) == "OK", "the period before the last doesn't breach"
    assert put_alarm_of(cloudwatch, name, EvaluationPeriods=3, DatapointsToAlarm=2) == "ALARM"
    assert put_alarm_of(cloudwatch, name, EvaluationPeriods=3, DatapointsToAlarm=3) == "OK"
    assert put_alarm_of(cloudwatch, name, Period=180) == "ALARM", "all three are in one period"


def test_late_data_counts_in_its_own_period(cloudwatch: Any, name: str) -> None:
    report(cloudwatch, name, 9.0)
    report(cloudwatch, name, *[0.0] * 5, age=3600)
    assert put_alarm_of(cloudwatch, name) == "ALARM"
    report(cloudwatch, f"{name}-late", 0.0)
    assert put_alarm_of(cloudwatch, f"{name}-late") == "OK"
    report(cloudwatch, f"{name}-late", 9.0, age=30)
    assert alarm_of(cloudwatch, f"{name}-late")["StateValue"] == "ALARM"


@pytest.mark.parametrize(
    ("missing", "state"),
    [("missing", "INSUFFICIENT_DATA"), ("breaching", "ALARM"), ("notBreaching", "OK"), ("ignore", "INSUFFICIENT_DATA")],
)
def test_alarm_without_data_has_the_configured_state(cloudwatch: Any, name: str, missing: str, state: str) -> None:
    assert put_alarm_of(cloudwatch, name, TreatMissingData=missing) == state


def test_alarm_watches_the_unit_that_it_names(cloudwatch: Any, name: str) -> None:
    report(cloudwatch, name, 5.0, unit="Microseconds")
    assert put_alarm_of(cloudwatch, name, Unit="Seconds") == "OK"
    assert put_alarm_of(cloudwatch, name, Unit="Microseconds") == "ALARM"


def test_alarm_recovers_without_further_data_and_notifies(
    cloud: Cloud, cloudwatch: Any, name: str, make_queue: MakeQueue
) -> None:
    sqs, topic = cloud.client("sqs"), cloud.client("sns").create_topic(Name=name)["TopicArn"]
    queue = make_queue(fifo=False)
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn(sqs, queue))
    report(cloudwatch, name, 5.0, age=28)  # the periods that an alarm of ten seconds evaluates end after thirty
    put_alarm(cloudwatch, name, Period=10, OKActions=[topic])
    assert alarm_of(cloudwatch, name)["StateValue"] == "ALARM"
    # From here on no request reaches CloudWatch.
    messages = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=15).get("Messages", [])
    assert ["OK:" in message["Body"] for message in messages] == [True]
    history = cloudwatch.describe_alarm_history(AlarmName=name, HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    summaries = {item["HistorySummary"] for item in history}
    assert summaries >= {"Alarm updated from INSUFFICIENT_DATA to ALARM", "Alarm updated from ALARM to OK"}


def test_state_that_is_set_by_hand_holds_for_a_while(cloudwatch: Any, name: str) -> None:
    put_alarm(cloudwatch, name, Period=10)
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    report(cloudwatch, name, 0.0)
    alarm = alarm_of(cloudwatch, name)
    assert (alarm["StateValue"], alarm["StateReason"]) == ("ALARM", "a drill")


@pytest.mark.slow
def test_state_that_is_set_by_hand_ends_with_the_next_evaluation(cloudwatch: Any, name: str) -> None:
    put_alarm(cloudwatch, name, Period=10)
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    comes_to(cloudwatch, name, "OK")


def test_alarm_of_a_stack_may_omit_optional_members(cloud: Cloud, cloudwatch: Any, name: str) -> None:
    properties = {
        "AlarmName": name,
        "Namespace": NAMESPACE,
        "MetricName": name,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 2,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    template = {"Resources": {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}}}
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)
    cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=[{"MetricName": name, "Value": 3.0}])
    comes_to(cloudwatch, name, "ALARM")


def test_metrics_are_returned_by_period_and_dimension(cloudwatch: Any, name: str) -> None:
    report(cloudwatch, name, 1.0, 2.0)
    report(cloudwatch, f"{name}-other", 8.0)
    now = datetime.now(tz=UTC)
    [datapoint] = cloudwatch.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName="Errors",
        Dimensions=dimensions(name),
        StartTime=datetime.fromtimestamp(now.timestamp() - 3600, tz=UTC),
        EndTime=datetime.fromtimestamp(now.timestamp() + 60, tz=UTC),
        Period=7200,
        Statistics=["Sum", "SampleCount", "Maximum"],
    )["Datapoints"]
    assert (datapoint["Sum"], datapoint["SampleCount"], datapoint["Maximum"]) == (3.0, 2.0, 2.0)
