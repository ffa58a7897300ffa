"""The HTTP of the emulator is that of AWS's endpoints: its headers, interim answers and connections."""

from __future__ import annotations

import http.client
import socket

import pytest

from localcloud.testing.clouds import Cloud


@pytest.fixture
def port(cloud: Cloud) -> int:
    return int(cloud.endpoint_url.rpartition(":")[2])


def test_answer_has_one_date_and_names_no_server(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/_ministack/health")
    answer = connection.getresponse()
    connection.close()

    assert (answer.version, answer.status) == (11, 200)
    assert len(answer.headers.get_all("Date") or ()) == 1
    assert answer.headers.get_all("Server") is None


def test_connection_takes_one_request_after_another(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    ports = []
    for _ in range(3):
        connection.request("GET", "/_ministack/health")
        connection.getresponse().read()
        ports.append(connection.sock.getsockname()[1])
    connection.close()

    assert len(set(ports)) == 1


def test_client_that_waits_before_its_body_is_told_to_go_on(port: int) -> None:
    """boto3's older versions need the phrase as well."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = (
            f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            "X-Amz-Target: AmazonSQS.ListQueues\r\nContent-Type: application/x-amz-json-1.0\r\n\r\n"
        )
        connection.sendall(head.encode())
        interim = connection.recv(1024)
        connection.sendall(b"{}")
        answer = connection.recv(1024)

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_what_is_no_http_is_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"hello\r\n\r\n")
        answer = connection.recv(1024)

    assert answer.startswith(b"HTTP/1.1 400 ")
