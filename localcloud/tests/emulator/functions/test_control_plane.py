"""Requests to Lambda that don't invoke: what is refused and how, states, stacks, and what survives."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
import zipfile
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.testing.clouds import Cloud, LocalCloud
from localcloud.testing.functions import IMAGE_URI, deploy, invoke, role, settled, zipped
from localcloud.testing.stacks import WAIT


def unchecked(cloud: Cloud) -> Any:
    """Return a client that sends what it is given."""
    return boto3.client(
        "lambda",
        endpoint_url=cloud.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(parameter_validation=False, retries={"total_max_attempts": 1}),
    )


def request(cloud: Cloud, name: str, **changes: Any) -> dict[str, Any]:
    made = {
        "FunctionName": name,
        "PackageType": "Image",
        "Code": {"ImageUri": IMAGE_URI},
        "ImageConfig": {"Command": ["app.handler"]},
        "Role": role(cloud),
    }
    return {**made, **changes}


_AT_LEAST = "Member must have value greater than or equal to"
_AT_MOST = "Member must have value less than or equal to"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (
            {"MemorySize": 64},
            "ValidationException",
            f"1 validation error detected: Value '64' at 'memorySize' failed to satisfy constraint: {_AT_LEAST} 128",
        ),
        (
            {"MemorySize": 10241},
            "ValidationException",
            f"Value '10241' at 'memorySize' failed to satisfy constraint: {_AT_MOST} 10240",
        ),
        (
            {"Timeout": 901},
            "ValidationException",
            f"Value '901' at 'timeout' failed to satisfy constraint: {_AT_MOST} 900",
        ),
        ({"EphemeralStorage": {"Size": 1}}, "ValidationException", "'ephemeralStorage.size'"),
        ({"FunctionName": "a b"}, "ValidationException", "'functionName' failed to satisfy constraint"),
        ({"Role": None}, "ValidationException", "Value null at 'role'"),
        ({"Timeout": "long"}, "SerializationException", "expected integer"),
        ({"Publish": True}, "InvalidParameterValueException", "has no Publish"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "InvalidParameterValueException", "has no SnapStart"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "reserved keys"),
        (
            {"Environment": {"Variables": {"AB": "x" * 5000}}},
            "InvalidParameterValueException",
            "exceeded the 4KB limit",
        ),
        ({"Code": {"ImageUri": "repository/other:1"}}, "InvalidParameterValueException", "add 'other'"),
        (
            {"PackageType": "Zip", "Code": {"ZipFile": b"text"}, "Runtime": "python3.11", "Handler": "a.b"},
            "InvalidParameterValueException",
            "Could not unzip uploaded file",
        ),
        (
            {
                "PackageType": "Zip",
                "Code": {"ZipFile": zipped({"a.py": ""})},
                "Runtime": "python3.12",
                "Handler": "a.b",
            },
            "InvalidParameterValueException",
            "add 'python3.12'",
        ),
    ],
)
def test_a_function_is_refused(cloud: Cloud, name: str, changes: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(ClientError) as refused:
        unchecked(cloud).create_function(**request(cloud, name, **changes))
    error = refused.value.response["Error"]
    assert error["Code"] == code
    assert message in error["Message"]


def test_a_zip_has_the_limits_of_lambda(cloud: Cloud, name: str) -> None:
    functions = cloud.client("lambda")
    kind = {"PackageType": "Zip", "Runtime": "python3.11", "Handler": "a.b", "ImageConfig": {}}
    with pytest.raises(ClientError, match="Unzipped size must be smaller than 262144000 bytes"):
        functions.create_function(**request(cloud, name, Code={"ZipFile": _zeros(251)}, **kind))


def _zeros(megabytes: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(megabytes * 1024 * 1024))
    return content.getvalue()


@pytest.mark.parametrize(
    "changes", [{"MaximumEventAgeInSeconds": 59}, {"MaximumRetryAttempts": 3}, {"MaximumEventAgeInSeconds": 21601}]
)
def test_settings_of_events_have_bounds(cloud: Cloud, name: str, changes: dict[str, int]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        unchecked(cloud).put_function_event_invoke_config(FunctionName=name, **changes)


def test_settings_of_events_are_changed_one_by_one(cloud: Cloud, name: str) -> None:
    deploy(cloud, name)
    functions = cloud.client("lambda")
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)
    functions.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    found = functions.get_function_event_invoke_config(FunctionName=name)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (1, 60)


def test_a_function_is_pending_then_active(cloud: Cloud, name: str) -> None:
    functions = cloud.client("lambda")
    assert functions.create_function(**request(cloud, name))["State"] == "Pending"
    with pytest.raises(ClientError, match="currently in the following state: Pending"):
        functions.invoke(FunctionName=name)
    settled(cloud, name)
    updated = functions.update_function_configuration(FunctionName=name, Timeout=5)
    assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "InProgress")
    with pytest.raises(ClientError, match="An update is in progress"):
        functions.update_function_configuration(FunctionName=name, Timeout=6)
    assert invoke(cloud, name, {}).error is None
    assert settled(cloud, name)["Timeout"] == 5


def test_tags_and_concurrency_can_be_read(cloud: Cloud, name: str) -> None:
    arn = deploy(cloud, name, Tags={"team": "a"})
    functions = cloud.client("lambda")
    functions.tag_resource(Resource=arn, Tags={"stage": "b"})
    functions.untag_resource(Resource=arn, TagKeys=["team"])
    assert functions.list_tags(Resource=arn)["Tags"] == {"stage": "b"}
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
    assert functions.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 3
    assert functions.get_function(FunctionName=name)["Concurrency"]["ReservedConcurrentExecutions"] == 3
    functions.delete_function_concurrency(FunctionName=name)
    assert "ReservedConcurrentExecutions" not in functions.get_function_concurrency(FunctionName=name)


def test_other_operations_are_refused(cloud: Cloud, name: str) -> None:
    deploy(cloud, name)
    with pytest.raises(ClientError, match="no operation CreateFunctionUrlConfig"):
        cloud.client("lambda").create_function_url_config(FunctionName=name, AuthType="NONE")
    with pytest.raises(ClientError, match="no operation CreateEventSourceMapping"):
        cloud.client("lambda").create_event_source_mapping(FunctionName=name, EventSourceArn="arn:aws:sqs:::q")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{cloud.endpoint_url}/2015-03-31/nothing", timeout=10)


def test_a_function_is_found_by_name_and_arn(cloud: Cloud, name: str) -> None:
    arn = deploy(cloud, name)
    for known in (name, arn, f"{arn}:$LATEST"):
        assert invoke(cloud, known, {}).error is None
    for unknown in ("nobody", f"{arn}:7"):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            invoke(cloud, unknown, {})
    assert cloud.client("lambda").invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204


def stack(name: str, *, memory: int = 128, colour: str = "blue", retries: int = 1) -> str:
    function = {"Ref": "Function"}
    resources: dict[str, Any] = {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            },
        },
        "Dead": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{name}-dead"}},
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": name,
                "PackageType": "Image",
                "Code": {"ImageUri": IMAGE_URI},
                "ImageConfig": {"Command": ["app.handler"]},
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "MemorySize": memory,
                "Timeout": "7",
                "Environment": {"Variables": {"COLOUR": colour}},
                "ReservedConcurrentExecutions": 2,
                "EphemeralStorage": {"Size": 600},
                "LoggingConfig": {"LogGroup": f"/own/{name}"},
                "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}},
                "Tags": [{"Key": "team", "Value": "a"}],
            },
        },
        "Layer": {
            "Type": "AWS::Lambda::LayerVersion",
            "Properties": {"LayerName": name, "Content": {"S3Bucket": name, "S3Key": "layer.zip"}},
        },
        "Zip": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": f"{name}-zip",
                "Runtime": "python3.11",
                "Handler": "code.handler",
                "Code": {"S3Bucket": name, "S3Key": "code.zip"},
                "Layers": [{"Ref": "Layer"}],
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            },
        },
        "Events": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {"FunctionName": function, "Qualifier": "$LATEST", "MaximumRetryAttempts": retries},
        },
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": function,
                "Action": "lambda:InvokeFunction",
                "Principal": "sns.amazonaws.com",
            },
        },
    }
    outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Function", "Arn"]}}}
    return json.dumps({"Resources": resources, "Outputs": outputs})


def test_a_stack_makes_changes_and_removes_functions(cloud: Cloud, name: str) -> None:
    s3, stacks, functions = cloud.client("s3"), cloud.client("cloudformation"), cloud.client("lambda")
    s3.create_bucket(Bucket=name)
    source = "import shared\ndef handler(event, context):\n    return shared.value\n"
    s3.put_object(Bucket=name, Key="code.zip", Body=zipped({"code.py": source}))
    s3.put_object(Bucket=name, Key="layer.zip", Body=zipped({"python/shared.py": "value = 'layer'"}))
    stacks.create_stack(StackName=name, TemplateBody=stack(name), Capabilities=["CAPABILITY_IAM"])
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)
    assert invoke(cloud, f"{name}-zip", {}).answer == "layer"
    found = invoke(cloud, name, {"do": "environment"}).answer["environment"]
    assert (found["COLOUR"], found["AWS_LAMBDA_LOG_GROUP_NAME"]) == ("blue", f"/own/{name}")
    configuration = functions.get_function(FunctionName=name)
    assert configuration["Concurrency"]["ReservedConcurrentExecutions"] == 2
    assert configuration["Tags"]["team"] == "a"
    shown = configuration["Configuration"]
    assert (shown["Timeout"], shown["EphemeralStorage"]["Size"]) == (7, 600)
    assert shown["DeadLetterConfig"]["TargetArn"].endswith(f"{name}-dead")
    assert "sns.amazonaws.com" in functions.get_policy(FunctionName=name)["Policy"]

    changed = stack(name, memory=256, colour="red", retries=0)
    stacks.update_stack(StackName=name, TemplateBody=changed, Capabilities=["CAPABILITY_IAM"])
    stacks.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=WAIT)
    found = invoke(cloud, name, {"do": "environment"}).answer["environment"]
    assert (found["COLOUR"], found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) == ("red", "256")
    events = functions.get_function_event_invoke_config(FunctionName=name, Qualifier="$LATEST")
    assert events["MaximumRetryAttempts"] == 0

    stacks.delete_stack(StackName=name)
    stacks.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=WAIT)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        functions.get_function(FunctionName=name)


def test_a_stack_with_a_function_that_lambda_refuses_fails(cloud: Cloud, name: str) -> None:
    stacks = cloud.client("cloudformation")
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "PackageType": "Image",
            "Code": {"ImageUri": IMAGE_URI},
            "Role": role(cloud),
            "MemorySize": 64,
        },
    }
    stacks.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Function": function}}))
    with pytest.raises(Exception, match="ROLLBACK"):
        stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)
    events = stacks.describe_stack_events(StackName=name)["StackEvents"]
    assert any("Value '64' at 'memorySize'" in event.get("ResourceStatusReason", "") for event in events)


@pytest.mark.chaos
def test_functions_survive_a_kill(localcloud: LocalCloud) -> None:
    cloud = localcloud.up()
    source = {"index.py": "def handler(event, context):\n    return 'zip'\n"}
    kind = {"PackageType": "Zip", "Runtime": "python3.11", "Handler": "index.handler", "ImageConfig": {}}
    deploy(cloud, "settled", Code={"ZipFile": zipped(source)}, **kind)
    cloud.client("lambda").put_function_concurrency(FunctionName="settled", ReservedConcurrentExecutions=3)
    cloud.client("lambda").create_function(**request(cloud, "pending"))
    localcloud.kill("emulator")
    cloud = localcloud.up()
    assert settled(cloud, "pending")["State"] == "Active"
    assert invoke(cloud, "settled", {}).answer == "zip"
    assert invoke(cloud, "pending", {}).answer["calls"] == 1
    found = cloud.client("lambda").get_function_concurrency(FunctionName="settled")
    assert found["ReservedConcurrentExecutions"] == 3
