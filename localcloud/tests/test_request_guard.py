"""Both services refuse requests of web pages, and answer those of programs on this machine."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError, WaiterError

from localcloud.testing.clouds import Cloud
from localcloud.testing.stacks import WAIT


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


@pytest.fixture(params=["emulator", "sagemaker"])
def port(request: pytest.FixtureRequest, cloud: Cloud) -> int:
    url = cloud.endpoint_url if request.param == "emulator" else cloud.sagemaker_endpoint_url
    return int(url.rpartition(":")[2])


def answer_to(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """Send a request with exactly these headers (``_`` for ``-``), and a Host unless they have one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": f"127.0.0.1:{port}", "Content-Length": str(len(body)), **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def ping(port: int, **headers: str) -> Answer:
    return next(
        answer
        for path in ("/_ministack/health", "/ping")
        if (answer := answer_to(port, "GET", path, **headers)).status in (200, 403)
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
@pytest.mark.parametrize("suffix", ["", ":1", ":65535"])
def test_loopbacks_own_names_are_answered_at_any_port(port: int, host: str, suffix: str) -> None:
    assert ping(port, Host=host + suffix).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:{port}",
        "127.0.0.1.evil.test:{port}",
        "localhost.evil.test",
        "bucket.localhost:{port}",
        "evil.test@127.0.0.1:{port}",
        "127.0.0.1:{port}, evil.test",
        "127.0.0.1:{port}:80",
        "0.0.0.0:{port}",
        "169.254.169.254",
        "[::1].evil.test",
        "",
    ],
)
def test_a_foreign_host_is_refused(port: int, host: str) -> None:
    refused = ping(port, Host=host.format(port=port))
    assert refused.status == 403
    assert "has to be 127.0.0.1, localhost or [::1]" in json.loads(refused.body)["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:{other}"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_User": "?1"},
        {"Origin": "http://127.0.0.1:{port}", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://evil.test", "Sec_Fetch_Site": "same-origin"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_request_of_a_web_page_is_refused(port: int, method: str, headers: dict[str, str]) -> None:
    sent = {name: value.format(port=port, other=port + 1) for name, value in headers.items()}
    refused = answer_to(port, method, "/", b"{}" if method == "POST" else b"", **sent)
    assert refused.status == 403
    assert "the request comes from a web page" in json.loads(refused.body)["message"]
    assert not [name for name in refused.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec_Fetch_Site": "none"}, {"Sec_Fetch_Site": "same-origin"}, {"Origin": "http://127.0.0.1:{port}"}],
    ids=str,
)
def test_a_program_and_the_address_bar_are_answered(port: int, headers: dict[str, str]) -> None:
    assert ping(port, **{name: value.format(port=port) for name, value in headers.items()}).status == 200


def test_no_answer_allows_other_origins(cloud: Cloud) -> None:
    port = int(cloud.endpoint_url.rpartition(":")[2])
    for method, path in (("GET", "/"), ("OPTIONS", "/"), ("GET", "/no-such-bucket"), ("GET", "/_ministack/health")):
        answer = answer_to(port, method, path)
        assert not [name for name in answer.headers if name.startswith("access-control-")], (method, path)


def test_services_that_nothing_uses_are_off(cloud: Cloud) -> None:
    port = int(cloud.endpoint_url.rpartition(":")[2])
    on = set(json.loads(answer_to(port, "GET", "/_ministack/health").body)["services"])
    assert on == {
        *("cloudformation", "ecs", "iam", "kinesis", "lambda", "logs", "monitoring"),
        *("s3", "scheduler", "sns", "sqs", "ssm", "states", "sts"),
    }
    function = json.dumps({"FunctionName": "f", "Runtime": "python3.11", "Handler": "h.h", "Role": "r"}).encode()
    for method, path in (
        ("POST", "/2015-03-31/functions"),
        ("POST", "/2015-03-31/functions/f/invocations"),
        ("POST", "/_aws/lambda-urls/f/"),
        ("POST", "/_ministack/config"),
        ("POST", "/_ministack/reset"),
        ("PUT", "/_ministack/cfn-response/token"),
        ("POST", "/_ministack/eks-auth/cluster"),
        ("POST", "/_ministack/rds/iam-auth"),
        ("GET", "/_aws/sqs/messages"),
        ("GET", "/_localstack/health"),
        ("GET", "/v2/"),
        ("POST", "/oauth2/token"),
    ):
        answer = answer_to(port, method, path, function)
        assert answer.status >= 400, (path, answer)


@pytest.mark.parametrize(
    "resource",
    [
        {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.11",
                "Handler": "index.handler",
                "Role": "arn:aws:iam::000000000000:role/r",
                "Code": {"ZipFile": "def handler(event, context): pass"},
            },
        },
        {"Type": "AWS::ECS::Service"},
        {"Type": "Custom::Any", "Properties": {"ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:f"}},
    ],
    ids=lambda resource: resource["Type"],
)
def test_a_template_can_not_create_resources_of_services_that_are_off(cloud: Cloud, resource: dict[str, Any]) -> None:
    cloudformation = cloud.client("cloudformation")
    name = "off-" + resource["Type"].replace("::", "-").lower()
    template = json.dumps({"Resources": {"Off": resource}})

    def create() -> None:
        cloudformation.create_stack(StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)

    with pytest.raises((ClientError, WaiterError), match=r"Unrecognized resource types|ROLLBACK"):
        create()
