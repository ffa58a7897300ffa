"""What a function's code finds, how an invocation ends, and what its log says."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from localcloud.images import Image
from localcloud.testing.clouds import Cloud
from localcloud.testing.functions import deploy, invoke, settled, zipped
from localcloud.testing.waiting import wait_for


@pytest.fixture
def function(cloud: Cloud, name: str) -> str:
    """A function for one test, with the smallest memory and a time-out of three seconds."""
    deploy(cloud, name)
    return name


def lines(cloud: Cloud, group: str) -> list[str]:
    logs = cloud.client("logs")
    return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]


def runs(pid: int) -> bool:
    """Return whether the process runs; one that its new parent has not reaped doesn't."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_warm_environment_is_used_again(cloud: Cloud, function: str) -> None:
    first, second = invoke(cloud, function, {}), invoke(cloud, function, {})
    assert (first.answer["calls"], second.answer["calls"]) == (1, 2)
    assert first.answer["pid"] == second.answer["pid"]
    assert "cold start" in first.log
    assert "Init Duration" in first.log
    assert "cold start" not in second.log
    assert "Init Duration" not in second.log


def test_invocations_at_once_have_an_environment_each(cloud: Cloud, function: str) -> None:
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(invoke(cloud, function, {"do": "wait", "seconds": 1})))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({each.answer["pid"] for each in answers}) == 2


def test_the_variables_are_those_of_lambda(cloud: Cloud, name: str) -> None:
    deploy(cloud, name, MemorySize=256, Environment={"Variables": {"COLOUR": "blue"}})
    found = invoke(cloud, name, {"do": "environment"}).answer["environment"]
    assert found["COLOUR"] == "blue"
    assert {key: found[key] for key in found if key.startswith("AWS_LAMBDA_FUNCTION")} == {
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    }
    assert found["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{name}"
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "us-east-1"
    assert found["_HANDLER"] == "app.handler"
    assert Path(found["LAMBDA_TASK_ROOT"], "app.py").exists()
    assert found["AWS_ENDPOINT_URL_SAGEMAKER"] == cloud.sagemaker_endpoint_url
    assert "LOCALCLOUD_IMAGES" not in found


def test_the_context_is_that_of_the_invocation(cloud: Cloud, function: str) -> None:
    context = base64.b64encode(json.dumps({"custom": {"key": "value"}}).encode()).decode()
    invoked = invoke(cloud, function, {"do": "context"}, ClientContext=context)
    found = invoked.answer
    assert found["request_id"] == invoked.request_id
    assert f"START RequestId: {invoked.request_id} Version: $LATEST" in invoked.log
    assert found["arn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
    assert (found["name"], found["memory"], found["custom"]) == (function, "128", {"key": "value"})
    assert 0 < found["milliseconds"] <= 3000


def test_the_role_is_the_caller(cloud: Cloud, function: str) -> None:
    found = invoke(cloud, function, {"do": "caller"}).answer["caller"]
    assert found == f"arn:aws:sts::000000000000:assumed-role/function/{function}"


def test_an_entry_point_and_a_working_folder_are_used(cloud: Cloud, name: str, images: Mapping[str, Image]) -> None:
    settings = {
        "EntryPoint": ["/usr/local/bin/python", "-X", "utf8", "-m", "awslambdaric"],
        "Command": ["app.handler"],
        "WorkingDirectory": "/usr",
    }
    deploy(cloud, name, ImageConfig=settings)
    assert invoke(cloud, name, {"do": "context"}).answer["folder"] == "/usr"


def test_an_error_of_the_handler_is_the_answer(cloud: Cloud, function: str) -> None:
    invoked = invoke(cloud, function, {"do": "fail", "message": "no good"})
    assert invoked.error == "Unhandled"
    assert (invoked.answer["errorType"], invoked.answer["errorMessage"]) == ("ValueError", "no good")
    assert "raise ValueError" in invoked.answer["stackTrace"][-1]
    assert "[ERROR] ValueError: no good" in invoked.log
    assert invoke(cloud, function, {}).answer["calls"] == 2


@pytest.mark.parametrize(
    ("code", "how"), [(3, "exited with error: exit status 3"), (0, "exited without providing a reason")]
)
def test_a_runtime_that_exits_is_an_error(cloud: Cloud, function: str, code: int, how: str) -> None:
    invoked = invoke(cloud, function, {"do": "leave", "code": code})
    request_id = re.findall(r"START RequestId: (\S+)", invoked.log)[0]
    assert invoked.error == "Unhandled"
    assert invoked.answer == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request_id} Error: Runtime {how}",
    }
    assert "Status: error\tError Type: Runtime.ExitError" in invoked.log
    assert invoke(cloud, function, {}).answer["calls"] == 1


def test_what_a_runtime_has_started_ends_with_it(cloud: Cloud, name: str) -> None:
    """The environment is reset, whichever groups its processes are in."""
    deploy(cloud, name, Timeout=60)
    invoked = invoke(cloud, name, {"do": "die with a child"})
    assert invoked.answer["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    (pid,) = re.findall(r"child (\d+)", invoked.log)
    assert not runs(int(pid))


@pytest.mark.parametrize("action", ["eat", "eat in child"])
def test_more_memory_than_the_limit_ends_the_runtime(cloud: Cloud, name: str, action: str) -> None:
    deploy(cloud, name, Timeout=60)
    invoked = invoke(cloud, name, {"do": action, "megabytes": 200})
    assert invoked.answer["errorType"] == "Runtime.OutOfMemory"
    assert invoked.answer["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert "Max Memory Used: 128 MB" in invoked.log
    assert invoke(cloud, name, {"do": "eat", "megabytes": 20}).answer["bytes"] == 20 * 1024 * 1024


def test_a_time_out_ends_the_runtime(cloud: Cloud, name: str) -> None:
    deploy(cloud, name, Timeout=1)
    pid = invoke(cloud, name, {}).answer["pid"]
    invoked = invoke(cloud, name, {"do": "wait", "seconds": 30})
    request_id = re.findall(r"START RequestId: (\S+)", invoked.log)[0]
    assert invoked.answer == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 1.00 seconds",
    }
    assert f"{request_id} Task timed out after 1.00 seconds" in invoked.log
    assert "Status: timeout" in invoked.log
    assert not runs(pid)


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("broken.handler", "Runtime.ImportModuleError"),
        ("app.missing", "Runtime.HandlerNotFound"),
        ("leaves.handler", "Runtime.ExitError"),
    ],
)
def test_an_initialization_that_fails_is_an_error(cloud: Cloud, name: str, handler: str, error_type: str) -> None:
    deploy(cloud, name, ImageConfig={"Command": [handler]})
    for _ in range(2):
        invoked = invoke(cloud, name, {})
        assert (invoked.error, invoked.answer["errorType"]) == ("Unhandled", error_type)


@pytest.mark.slow
def test_scratch_space_has_a_limit(cloud: Cloud, name: str) -> None:
    deploy(cloud, name, Timeout=30, MemorySize=1024)
    assert invoke(cloud, name, {"do": "fill", "files": 1, "megabytes": 10}).answer["files"] == 1
    one_file = invoke(cloud, name, {"do": "fill", "files": 1, "megabytes": 513})
    assert (one_file.answer["errorType"], "File too large" in one_file.answer["errorMessage"]) == ("OSError", True)
    many = invoke(cloud, name, {"do": "fill", "files": 6, "megabytes": 100, "seconds": 20})
    assert many.answer["errorType"] == "Runtime.ExitError"
    assert "No space left on device: /tmp has" in many.answer["errorMessage"]
    deploy(cloud, f"{name}-2", Timeout=30, MemorySize=1024, EphemeralStorage={"Size": 1024})
    assert invoke(cloud, f"{name}-2", {"do": "fill", "files": 6, "megabytes": 100}).answer["files"] == 6


def test_other_files_are_denied(cloud: Cloud, function: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    assert invoke(cloud, function, {"do": "read", "path": str(secret)}).answer["errorType"] == "PermissionError"


def test_the_log_is_in_cloudwatch(cloud: Cloud, name: str) -> None:
    deploy(cloud, name, LoggingConfig={"LogGroup": f"/own/{name}"})
    stream = invoke(cloud, name, {"do": "context"}).answer["stream"]
    found = lines(cloud, f"/own/{name}")
    patterns = [
        r"START RequestId: [\w-]{36} Version: \$LATEST",
        "cold start",
        r"END RequestId: [\w-]{36}",
        r"REPORT RequestId: [\w-]{36}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
        r"Max Memory Used: \d+ MB\tInit Duration: [\d.]+ ms\t",
    ]
    assert len(found) == len(patterns)
    for line, pattern in zip(found, patterns, strict=True):
        assert re.fullmatch(pattern, line)
    streams = cloud.client("logs").describe_log_streams(logGroupName=f"/own/{name}")["logStreams"]
    assert [each["logStreamName"] for each in streams] == [stream]


def test_a_log_may_be_json(cloud: Cloud, name: str) -> None:
    deploy(cloud, name, LoggingConfig={"LogFormat": "JSON"})
    invoke(cloud, name, {})
    events = [json.loads(line) for line in lines(cloud, f"/aws/lambda/{name}") if line.startswith("{")]
    assert [event["type"] for event in events] == ["platform.start", "platform.report"]
    assert events[-1]["record"]["status"] == "success"


def test_payloads_have_the_limits_of_lambda(cloud: Cloud, function: str) -> None:
    functions = cloud.client("lambda")
    assert invoke(cloud, function, {"do": "answer", "bytes": 6_000_000}).error is None
    too_much = invoke(cloud, function, {"do": "answer", "bytes": 6_500_000})
    assert too_much.answer["errorType"] == "Function.ResponseSizeTooLarge"
    for kind, size in (("RequestResponse", 6_291_457), ("Event", 1_048_577)):
        with pytest.raises(ClientError, match="RequestTooLargeException"):
            functions.invoke(FunctionName=function, InvocationType=kind, Payload=json.dumps("x" * size))
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        functions.invoke(FunctionName=function, Payload=b"{")


def test_a_payload_arrives_as_it_was_sent(cloud: Cloud, name: str) -> None:
    code = zipped({"index.py": "def handler(event, context):\n    return event\n"})
    deploy_zip(cloud, name, code)
    for event in ("text", 1.5, None, [1, "ä"], {"number": 12345678901234567890}):
        assert invoke(cloud, name, event).answer == event


def deploy_zip(cloud: Cloud, name: str, code: bytes, **settings: Any) -> None:
    kind = {"PackageType": "Zip", "Runtime": "python3.11", "Handler": "index.handler", "ImageConfig": {}}
    deploy(cloud, name, Code={"ZipFile": code}, **kind, **settings)


def test_a_zip_imports_its_code_first_then_its_layers(cloud: Cloud, name: str) -> None:
    functions = cloud.client("lambda")
    layers = [
        functions.publish_layer_version(LayerName=f"{name}-{number}", Content={"ZipFile": zipped(files)})
        for number, files in enumerate(
            (
                {"python/shared.py": "value = 'first'", "python/first.py": "value = 1"},
                {"python/shared.py": "value = 'second'", "python/lib/python3.11/site-packages/second.py": "value = 2"},
            )
        )
    ]
    code = {
        "index.py": "import shared, first, second, boto3, own\n"
        "def handler(event, context):\n    return [own.value, shared.value, first.value, second.value]\n",
        "own.py": "value = 'own'",
    }
    deploy_zip(cloud, name, zipped(code), Layers=[layer["LayerVersionArn"] for layer in layers])
    assert invoke(cloud, name, {}).answer == ["own", "second", 1, 2]


def test_layers_are_extracted_into_one_folder_in_their_order(cloud: Cloud, name: str) -> None:
    """So a package may have modules in several layers."""
    files = (
        {
            "python/shared/__init__.py": "",
            "python/shared/first.py": "value = 'first'",
            "python/shared/both.py": "n = 1",
        },
        {"python/shared/second.py": "value = 'second'", "python/shared/both.py": "n = 2"},
    )
    functions = cloud.client("lambda")
    layers = [
        functions.publish_layer_version(LayerName=f"{name}-{number}", Content={"ZipFile": zipped(content)})
        for number, content in enumerate(files)
    ]
    code = zipped(
        {
            "index.py": "from shared import both, first, second\n"
            "def handler(event, context):\n    return [first.value, second.value, both.n]\n"
        }
    )
    for order, n in ((1, 2), (-1, 1)):
        deploy_zip(cloud, f"{name}-{n}", code, Layers=[layer["LayerVersionArn"] for layer in layers[::order]])
        assert invoke(cloud, f"{name}-{n}", {}).answer == ["first", "second", n]


def test_new_code_and_settings_end_warm_environments(cloud: Cloud, name: str) -> None:
    functions = cloud.client("lambda")
    source = "import os\ndef handler(event, context):\n    return [%r, os.getpid(), os.environ.get('COLOUR')]\n"
    deploy_zip(cloud, name, zipped({"index.py": source % "old"}))
    text, pid, _ = invoke(cloud, name, {}).answer
    assert text == "old"
    cloud.client("s3").create_bucket(Bucket=name)
    cloud.client("s3").put_object(Bucket=name, Key="code.zip", Body=zipped({"index.py": source % "new"}))
    updated = functions.update_function_code(FunctionName=name, S3Bucket=name, S3Key="code.zip")
    assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "InProgress")
    settled(cloud, name)
    text, second_pid, _ = invoke(cloud, name, {}).answer
    assert text == "new"
    wait_for(lambda: not runs(pid), what="end of the old environment")
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": {"COLOUR": "red"}})
    settled(cloud, name)
    assert invoke(cloud, name, {}).answer[2] == "red"
    functions.delete_function(FunctionName=name)
    wait_for(lambda: not runs(second_pid), what="end of the last environment")


def test_new_files_of_an_image_end_warm_environments(cloud: Cloud, name: str, changing: Path) -> None:
    source = "import os\ndef handler(event, context):\n    return [%r, os.getpid()]\n"
    (changing / "code.py").write_text(source % "old")
    deploy(
        cloud,
        name,
        Code={"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/changing:1"},
        ImageConfig={"Command": ["code.handler"]},
    )
    text, pid = invoke(cloud, name, {}).answer
    assert text == "old"
    (changing / "code.py").write_text(source % "changed")
    assert invoke(cloud, name, {}).answer[0] == "changed"
    wait_for(lambda: not runs(pid), what="end of the old environment")
