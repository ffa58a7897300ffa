"""Executions of state machines, proven by what their functions do, in both query languages."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.testing.clouds import Cloud, LocalCloud
from localcloud.testing.functions import deploy
from localcloud.testing.stacks import WAIT
from localcloud.testing.waiting import wait_for

_ROLE = "arn:aws:iam::000000000000:role/states"
_INVOKE = "arn:aws:states:::lambda:invoke"
_ALL = ["States.ALL"]


@pytest.fixture(scope="module")
def function(cloud: Cloud) -> str:
    """The ARN of a function that all tests share."""
    return deploy(cloud, "tasks", Timeout=30)


def create(cloud: Cloud, name: str, definition: dict[str, Any]) -> str:
    made = cloud.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=_ROLE
    )
    return str(made["stateMachineArn"])


def start(cloud: Cloud, machine: str, given: Any = None, **options: Any) -> str:
    started = cloud.client("stepfunctions").start_execution(
        stateMachineArn=machine, input=json.dumps(given or {}), **options
    )
    return str(started["executionArn"])


def ended(cloud: Cloud, execution: str) -> Any:
    states = cloud.client("stepfunctions")

    def found() -> Any:
        described = states.describe_execution(executionArn=execution)
        return described if described["status"] != "RUNNING" else None

    return wait_for(found, what=f"end of {execution}")


def run(cloud: Cloud, name: str, definition: dict[str, Any], given: Any = None) -> Any:
    return ended(cloud, start(cloud, create(cloud, name, definition), given))


def output(cloud: Cloud, name: str, definition: dict[str, Any], given: Any = None) -> Any:
    described = run(cloud, name, definition, given)
    assert described["status"] == "SUCCEEDED", described.get("cause")
    return json.loads(described["output"])


def history(cloud: Cloud, execution: str) -> list[Any]:
    found = cloud.client("stepfunctions").get_execution_history(executionArn=execution, maxResults=1000)
    return list(found["events"])


def machine(language: str, **states: Any) -> dict[str, Any]:
    return {"QueryLanguage": language, "StartAt": next(iter(states)), "States": states}


def invoking(language: str, function: str, payload: Any, **more: Any) -> dict[str, Any]:
    """Return a Task state that calls the function by the optimized integration, and returns its payload only."""
    arguments = {"FunctionName": function, "Payload": payload}
    of_language: dict[str, Any] = (
        {"Arguments": arguments, "Output": "{% $states.result.Payload %}"}
        if language == "JSONata"
        else {"Parameters": arguments, "OutputPath": "$.Payload"}
    )
    ends = {} if "Next" in more else {"End": True}
    return {"Type": "Task", "Resource": _INVOKE, **of_language, **ends, **more}


languages = pytest.mark.parametrize("language", ["JSONPath", "JSONata"])


@languages
def test_a_task_invokes_a_function(cloud: Cloud, name: str, function: str, language: str) -> None:
    task = invoking(language, function, {"do": "context"})
    assert output(cloud, name, machine(language, Task=task))["name"] == "tasks"


@languages
def test_a_task_may_be_the_function_itself(cloud: Cloud, name: str, function: str, language: str) -> None:
    definition = machine(language, Task={"Type": "Task", "Resource": function, "End": True})
    assert output(cloud, name, definition, {"do": "context"})["name"] == "tasks"


@languages
def test_a_task_is_tried_again_with_growing_waits(cloud: Cloud, name: str, function: str, language: str) -> None:
    retry = [{"ErrorEquals": ["ValueError"], "IntervalSeconds": 1, "BackoffRate": 2.0, "MaxAttempts": 2}]
    task = invoking(language, function, {"do": "fail", "message": "no good"}, Retry=retry)
    described = run(cloud, name, machine(language, Task=task))
    assert (described["status"], described["error"]) == ("FAILED", "ValueError")
    times: list[datetime] = [
        event["timestamp"]
        for event in history(cloud, described["executionArn"])
        if event["type"] in ("TaskScheduled", "TaskFailed")
    ]
    waits = [later - earlier for earlier, later in zip(times[1:-1:2], times[2::2], strict=True)]
    assert len(waits) == 2
    assert timedelta(seconds=1) <= waits[0] < timedelta(seconds=2)
    assert timedelta(seconds=2) <= waits[1] < timedelta(seconds=3)


@languages
def test_an_error_is_caught_with_its_name_and_cause(cloud: Cloud, name: str, function: str, language: str) -> None:
    caught: dict[str, Any] = {"ErrorEquals": ["ValueError"], "Next": "Caught"}
    if language == "JSONata":
        caught["Output"] = "{% $states.errorOutput %}"
    catch = [caught, {"ErrorEquals": _ALL, "Next": "Other"}]
    task = invoking(language, function, {"do": "fail", "message": "no good"}, Catch=catch, Next="Other")
    states = {"Task": task, "Caught": {"Type": "Pass", "End": True}, "Other": {"Type": "Fail"}}
    found = output(cloud, name, machine(language, **states))
    assert found["Error"] == "ValueError"
    assert json.loads(found["Cause"])["errorMessage"] == "no good"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"do": "leave", "code": 1}, "Runtime.ExitError"),
        ({"do": "eat", "megabytes": 200}, "Runtime.OutOfMemory"),
    ],
)
def test_a_runtime_that_ends_is_an_error(cloud: Cloud, name: str, function: str, event: Any, error: str) -> None:
    described = run(cloud, name, machine("JSONata", Task=invoking("JSONata", function, event)))
    assert (described["status"], described["error"]) == ("FAILED", error)


def test_a_throttle_is_an_error_of_its_own(cloud: Cloud, name: str) -> None:
    function = deploy(cloud, name)
    cloud.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    described = run(cloud, name, machine("JSONata", Task=invoking("JSONata", function, {})))
    assert described["error"] == "Lambda.TooManyRequestsException"


@languages
def test_a_wait_takes_seconds_from_its_input(cloud: Cloud, name: str, language: str) -> None:
    seconds = {"Seconds": "{% $states.input.pause * 2 %}"} if language == "JSONata" else {"SecondsPath": "$.pause"}
    described = run(cloud, name, machine(language, Wait={"Type": "Wait", **seconds, "End": True}), {"pause": 1})
    expected = 2 if language == "JSONata" else 1
    took = (described["stopDate"] - described["startDate"]).total_seconds()
    assert described["status"] == "SUCCEEDED"
    assert expected <= took < expected + 2


@languages
def test_a_choice_takes_the_first_branch_that_fits(cloud: Cloud, name: str, language: str) -> None:
    rule: dict[str, Any] = (
        {"Condition": "{% $states.input.size > 10 %}"}
        if language == "JSONata"
        else {"Variable": "$.size", "NumericGreaterThan": 10}
    )
    states = {
        "Choice": {"Type": "Choice", "Choices": [{**rule, "Next": "Large"}], "Default": "Small"},
        "Large": {"Type": "Succeed"},
        "Small": {"Type": "Fail", "Error": "TooSmall", "Cause": "The size is at most 10."},
    }
    arn = create(cloud, name, machine(language, **states))
    assert ended(cloud, start(cloud, arn, {"size": 11}))["status"] == "SUCCEEDED"
    small = ended(cloud, start(cloud, arn, {"size": 10}))
    assert (small["status"], small["error"], small["cause"]) == ("FAILED", "TooSmall", "The size is at most 10.")


@languages
@pytest.mark.parametrize("most", [0, 1])
def test_a_map_runs_its_items_at_once_or_in_turn(
    cloud: Cloud, name: str, function: str, language: str, most: int
) -> None:
    item = "{% $states.input %}" if language == "JSONata" else "$"
    payload = {"do": "wait", "seconds": 1, "item" if language == "JSONata" else "item.$": item}
    processor = {**machine(language, Item=invoking(language, function, payload))}
    del processor["QueryLanguage"]
    items = {"Items": "{% $states.input.items %}"} if language == "JSONata" else {"ItemsPath": "$.items"}
    state = {"Type": "Map", **items, "ItemProcessor": processor, "MaxConcurrency": most, "End": True}
    described = run(cloud, name, machine(language, Map=state), {"items": [1, 2, 3]})
    answers = json.loads(described["output"])
    assert len(answers) == 3
    assert len({answer["pid"] for answer in answers}) == (1 if most else 3)
    took = (described["stopDate"] - described["startDate"]).total_seconds()
    assert took >= (3 if most else 1)


@languages
def test_a_pass_builds_its_output(cloud: Cloud, name: str, language: str) -> None:
    of_language: dict[str, Any] = (
        {"Output": {"sum": "{% $states.input.a + $states.input.b %}"}}
        if language == "JSONata"
        else {"Parameters": {"sum.$": "States.MathAdd($.a, $.b)"}}
    )
    definition = machine(language, Pass={"Type": "Pass", **of_language, "End": True})
    assert output(cloud, name, definition, {"a": 1, "b": 2}) == {"sum": 3}


@languages
def test_a_notification_is_published(cloud: Cloud, name: str, language: str) -> None:
    sqs, sns = cloud.client("sqs"), cloud.client("sns")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    field = "Arguments" if language == "JSONata" else "Parameters"
    task = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "End": True}
    arn = create(cloud, name, machine(language, Task={**task, field: {"TopicArn": topic, "Message": {"done": True}}}))
    assert "MessageId" in json.loads(ended(cloud, start(cloud, arn))["output"])
    received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    assert [json.loads(message["Body"]) for message in received] == [{"done": True}]

    missing = {"TopicArn": f"{topic}-missing", "Message": "text"}
    failed = run(cloud, f"{name}-x"[:80], machine(language, Task={**task, field: missing}))
    assert failed["error"] == "SNS.NotFoundException"


def test_an_execution_that_runs_is_found_by_its_name_and_input(cloud: Cloud, name: str) -> None:
    states = cloud.client("stepfunctions")
    arn = create(cloud, name, machine("JSONata", Wait={"Type": "Wait", "Seconds": 60, "End": True}))
    first = start(cloud, arn, {"a": 1}, name="once")
    assert start(cloud, arn, {"a": 1}, name="once") == first
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        start(cloud, arn, {"a": 2}, name="once")
    listed = states.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]
    assert [execution["name"] for execution in listed] == ["once"]
    states.stop_execution(executionArn=first, error="Stopped", cause="by a test")
    stopped = ended(cloud, first)
    assert (stopped["status"], stopped["error"], stopped["cause"]) == ("ABORTED", "Stopped", "by a test")
    assert history(cloud, first)[-1]["type"] == "ExecutionAborted"
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        start(cloud, arn, {"a": 1}, name="once")


def test_a_stopped_execution_starts_no_more_tasks(cloud: Cloud, name: str, function: str) -> None:
    states, sqs = cloud.client("stepfunctions"), cloud.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    payload = {"do": "note", "queue": url, "seconds": 2, "fails": True}
    task = invoking("JSONata", function, payload, Catch=[{"ErrorEquals": _ALL, "Next": "On"}])
    processor = machine("JSONata", Item=task, On={"Type": "Succeed"})
    del processor["QueryLanguage"]
    state = {"Type": "Map", "Items": [1, 2], "ItemProcessor": processor, "MaxConcurrency": 1, "End": True}
    execution = start(cloud, create(cloud, name, machine("JSONata", Map=state)))
    sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    states.stop_execution(executionArn=execution)
    wait_for(
        lambda: "TaskFailed" in [event["type"] for event in history(cloud, execution)], what="end of the first task"
    )
    assert states.describe_execution(executionArn=execution)["status"] == "ABORTED"
    assert [event["type"] for event in history(cloud, execution)].count("TaskScheduled") == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2)


def test_a_bad_definition_is_refused(cloud: Cloud, name: str) -> None:
    states = cloud.client("stepfunctions")
    bad = {"StartAt": "Nowhere", "States": {"A": {"Type": "Succeed"}}}
    with pytest.raises(ClientError) as refused:
        create(cloud, name, bad)
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidDefinition"
    assert "MISSING_TRANSITION_TARGET: Missing 'StartAt' target: Nowhere at /StartAt" in error["Message"]
    checked = states.validate_state_machine_definition(definition=json.dumps(bad))
    assert (checked["result"], checked["diagnostics"][0]["location"]) == ("FAIL", "/StartAt")
    good = machine("JSONata", A={"Type": "Succeed"})
    assert states.validate_state_machine_definition(definition=json.dumps(good))["result"] == "OK"
    arn = create(cloud, name, good)
    with pytest.raises(ClientError, match="InvalidDefinition"):
        states.update_state_machine(stateMachineArn=arn, definition=json.dumps(bad))
    with pytest.raises(ClientError, match="InvalidExecutionInput"):
        states.start_execution(stateMachineArn=arn, input="{")
    with pytest.raises(ClientError, match="no state machines of type EXPRESS"):
        states.create_state_machine(name=f"{name}-x"[:80], definition=json.dumps(good), roleArn=_ROLE, type="EXPRESS")
    with pytest.raises(ClientError, match="no operation CreateActivity"):
        states.create_activity(name="a")


def template(name: str, seconds: int, start_at: str = "Wait") -> str:
    definition = {"StartAt": start_at, "States": {"Wait": {"Type": "Wait", "Seconds": seconds, "Next": "Pass"}}}
    definition["States"]["Pass"] = {"Type": "Pass", "Result": "${Word}", "End": True}
    properties = {
        "StateMachineName": name,
        "RoleArn": _ROLE,
        "DefinitionString": json.dumps(definition),
        "DefinitionSubstitutions": {"Word": "hello"},
        "LoggingConfiguration": {"Level": "ALL"},
    }
    machine_ = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    return json.dumps({"Resources": {"Machine": machine_}, "Outputs": {"Arn": {"Value": {"Ref": "Machine"}}}})


def test_a_stack_makes_changes_and_removes_machines(cloud: Cloud, name: str) -> None:
    stacks, states = cloud.client("cloudformation"), cloud.client("stepfunctions")
    stacks.create_stack(StackName=name, TemplateBody=template(name, 0))
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)
    arn = stacks.describe_stacks(StackName=name)["Stacks"][0]["Outputs"][0]["OutputValue"]
    assert json.loads(ended(cloud, start(cloud, arn))["output"]) == "hello"
    stacks.update_stack(StackName=name, TemplateBody=template(name, 1))
    stacks.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=WAIT)
    assert '"Seconds": 1' in states.describe_state_machine(stateMachineArn=arn)["definition"]
    stacks.update_stack(StackName=name, TemplateBody=template(name, 1, "Nowhere"))
    with pytest.raises(Exception, match="ROLLBACK"):
        stacks.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=WAIT)
    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=WAIT)
    with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
        states.describe_state_machine(stateMachineArn=arn)


@pytest.mark.chaos
def test_executions_survive_a_kill_and_one_that_ran_has_failed(localcloud: LocalCloud) -> None:
    cloud = localcloud.up()
    arn = create(
        cloud, "killed", machine("JSONata", Wait={"Type": "Wait", "Seconds": "{% $states.input.s %}", "End": True})
    )
    done, running = start(cloud, arn, {"s": 0}), start(cloud, arn, {"s": 600})
    assert ended(cloud, done)["status"] == "SUCCEEDED"
    localcloud.kill("emulator")
    cloud = localcloud.up()
    assert ended(cloud, done)["status"] == "SUCCEEDED"
    failed = ended(cloud, running)
    assert (failed["status"], failed["error"]) == ("FAILED", "States.ServiceRestart")
    assert history(cloud, running)[-1]["type"] == "ExecutionFailed"
    assert ended(cloud, start(cloud, arn, {"s": 0}))["status"] == "SUCCEEDED"
