"""No request ends the stand-in or causes an internal failure: each is answered with an error of the service."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from tests.api.mutations import Mutator, Sent, valid

from localcloud.testing import training
from localcloud.testing.clouds import Cloud
from localcloud.testing.waiting import wait_for

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

THREADS = 4


@pytest.fixture(scope="module")
def served(sagemaker: SageMakerClient, completed: Any) -> str:
    container: Any = {"Image": training.IMAGE, "ModelDataUrl": completed["ModelArtifacts"]["S3ModelArtifacts"]}
    variant: Any = {
        "VariantName": "all",
        "ModelName": "besieged",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_model(ModelName="besieged", ExecutionRoleArn=training.ROLE, PrimaryContainer=container)
    sagemaker.create_endpoint_config(EndpointConfigName="besieged", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="besieged", EndpointConfigName="besieged")
    wait_for(lambda: sagemaker.describe_endpoint(EndpointName="besieged")["EndpointStatus"] == "InService")
    return "besieged"


def send(connection: http.client.HTTPConnection, sent: Sent) -> int:
    """Return the status. A server may close a connection after an unreadable request, but not before its answer."""
    try:
        connection.request(sent.method, sent.path, sent.body, dict(sent.headers))
    except ValueError:  # even http.client refuses to send this header
        return 400
    answer = connection.getresponse()
    answer.read()
    return answer.status


@pytest.mark.parametrize(
    ("seed", "count"), [pytest.param(1, 10_000), pytest.param(2, 100_000, marks=pytest.mark.slow)], ids=["10k", "100k"]
)
def test_mutated_requests_are_refused_and_the_endpoint_still_serves(
    cloud: Cloud,
    runtime: SageMakerRuntimeClient,
    completed: Any,
    data: training.Data,
    served: str,
    seed: int,
    count: int,
) -> None:
    address = urlsplit(cloud.sagemaker_endpoint_url)
    requests = valid(data, completed["ModelArtifacts"]["S3ModelArtifacts"])
    before = answer_of(runtime, served)

    def besiege(number: int) -> list[tuple[Sent, int]]:
        mutator = Mutator(seed * THREADS + number, requests, served)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        found = []
        for _ in range(count // THREADS):
            sent = mutator.request()
            status = send(connection, sent)
            if status >= 500:
                found.append((sent, status))
        connection.close()
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        failed = [each for found in pool.map(besiege, range(THREADS)) for each in found]
    assert not failed, f"{len(failed)}, the first: {str(failed[0])[:2000]}"
    assert answer_of(runtime, served) == before


def answer_of(runtime: SageMakerRuntimeClient, name: str) -> bytes:
    return runtime.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=b"0.1,0.2,0.3,0.4")["Body"].read()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x00\xff\x16\x03\x01 no http at all\r\n\r\n", id="no HTTP"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", id="negative length"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n{", id="endless length"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", id="bad chunk"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", id="bad version"),
        pytest.param(b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 10_000 + b"\r\n", id="many headers"),
    ],
)
def test_bytes_that_are_no_http_do_no_harm(
    cloud: Cloud, runtime: SageMakerRuntimeClient, served: str, content: bytes
) -> None:
    address = urlsplit(cloud.sagemaker_endpoint_url)
    with socket.create_connection((str(address.hostname), address.port or 0), 10) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert not answer.startswith((b"HTTP/1.1 5", b"HTTP/1.1 2"))
    assert answer_of(runtime, served)


@pytest.mark.parametrize("path", ["/", "/endpoints/besieged/invocations"])
def test_an_endless_body_is_answered_at_its_limit(cloud: Cloud, served: str, path: str) -> None:
    address = urlsplit(cloud.sagemaker_endpoint_url)
    with socket.create_connection((str(address.hostname), address.port or 0), 10) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: SageMaker.ListModels\r\n"
            "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(1000):  # 100 MB
            if select.select([connection], [], [], 0)[0]:
                break
            connection.sendall(b"%x\r\n%b\r\n" % (100_000, b"1," * 50_000))
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("before", "endless"),
    [
        pytest.param(b"POST / HTTP/1.1\r\nA: ", b"b" * 100_000, id="header"),
        pytest.param(b"POST / HTTP/1.1\r\n", b"A: b\r\n" * 10_000, id="headers"),
        pytest.param(b"GET /", b"b" * 100_000, id="URL"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nA: ",
            b"b" * 100_000,
            id="trailer",
        ),
    ],
)
def test_endless_headers_are_answered_at_their_limit(cloud: Cloud, before: bytes, endless: bytes) -> None:
    address = urlsplit(cloud.sagemaker_endpoint_url)
    with socket.create_connection((str(address.hostname), address.port or 0), 10) as connection:
        try:
            connection.sendall(before)
            for _ in range(200):  # 20 MB
                if select.select([connection], [], [], 0)[0]:
                    break
                connection.sendall(endless)
            answer = connection.recv(100)
        except ConnectionError:
            return  # closed before all bytes were read, so the answer may be lost
        assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("size", [60_000, 10_000])
def test_headers_within_the_limit_are_accepted_again_and_again(cloud: Cloud, size: int) -> None:
    sent = Sent("GET", "/ping", {"A": "b" * size}, b"")
    address = urlsplit(cloud.sagemaker_endpoint_url)
    with contextlib.closing(http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)) as connection:
        assert [send(connection, sent) for _ in range(10)] == [200] * 10
