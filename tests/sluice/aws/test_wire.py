"""The hot path sends what boto3 would send, signed as AWS requires, and leaves to boto3 what does not succeed."""

from __future__ import annotations

import hashlib
import hmac
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.conftest import Cloud, free_ports

from sluice.aws.wire import BucketWire, Signer, SqsWire

SECRET = "the-secret-of-a-test"


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Listener(HTTPServer):
    """Keeps the requests that it gets, and answers each with status 200 and an ETag."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[Received] = []
        self.etag = "ETag"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.command, self.path, headers, body))
        self.send_response(200)
        self.send_header(self.server.etag, '"e"')
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def listening(certificate: Path | None = None, key: Path | None = None) -> Iterator[Listener]:
    with Listener() as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as server:
        yield server


def self_signed(certificate: Path, key: Path) -> None:
    """Write a certificate for 127.0.0.1, valid from yesterday until tomorrow."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now, day = datetime.now(UTC), timedelta(days=1)
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def client(service: str, url: str, token: str | None = None, **settings: Any) -> Any:
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=url,
        region_name="eu-west-3",
        aws_access_key_id="key-of-a-test",
        aws_secret_access_key=SECRET,
        aws_session_token=token,
        config=Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1}, **settings),
    )


def signature(request: Received, service: str) -> str:
    """Return the signature by the specification (Signature Version 4, "Create a signed AWS API request")."""
    authorization = request.headers["authorization"]
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0]
    date = request.headers["x-amz-date"]
    scope = f"{date[:8]}/eu-west-3/{service}/aws4_request"
    path, _, query = request.path.partition("?")
    canonical = "\n".join(
        [
            request.method,
            path,
            "&".join(sorted(query.split("&"))),
            *(f"{name}:{request.headers[name].strip()}" for name in signed.split(";")),
            "",
            signed,
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + SECRET.encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


def test_call_arrives_signed_as_the_specification_requires(listener: Listener) -> None:
    assert SqsWire(client("sqs", listener.url)).call("ReceiveMessage", {"QueueUrl": "q"}) == {}

    (request,) = listener.received
    assert request.headers["authorization"].endswith(f"Signature={signature(request, 'sqs')}")
    assert (request.headers["x-amz-target"], request.body) == ("AmazonSQS.ReceiveMessage", b'{"QueueUrl": "q"}')


def test_token_of_a_session_is_signed_with_the_rest(listener: Listener) -> None:
    assert SqsWire(client("sqs", listener.url, "a-token")).call("ReceiveMessage", {}) == {}

    (request,) = listener.received
    assert request.headers["x-amz-security-token"] == "a-token"
    assert "x-amz-security-token" in request.headers["authorization"]
    assert request.headers["authorization"].endswith(f"Signature={signature(request, 'sqs')}")


def test_each_day_and_each_secret_has_a_key_of_its_own() -> None:
    signer = Signer("host", "eu-west-3", "sqs")
    for moment in (datetime(2013, 1, 1, 23, 59, 59, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC)):
        headers = signer.signed(ReadOnlyCredentials("key", SECRET, None), moment, "POST", "/", {}, b"body")
        received = Received("POST", "/", dict(headers), b"body")
        assert headers["authorization"].endswith(signature(received, "sqs"))
    others = signer.signed(ReadOnlyCredentials("key", "another", None), moment, "POST", "/", {}, b"body")
    assert others["authorization"] != headers["authorization"]


@pytest.mark.parametrize("key", ["flights/raw/events/dt=2013-01-01/hour=07/_manifest.json", "a b+c/~d/é.parquet"])
def test_put_arrives_signed_with_its_condition_and_the_digest_of_its_body(listener: Listener, key: str) -> None:
    wire = BucketWire(client("s3", listener.url, s3={"addressing_style": "path"}), "bucket")

    assert wire.put(key, b"body", {"If-Match": '"e"'}) == '"e"'

    (request,) = listener.received
    assert request.headers["authorization"].endswith(f"Signature={signature(request, 's3')}")
    assert "if-match" in request.headers["authorization"]
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(b"body").hexdigest()
    assert request.path == f"/bucket/{quote(key, safe='/~')}"


@pytest.mark.parametrize("name", ["ETag", "etag", "Etag"])
def test_case_of_a_header_says_nothing(listener: Listener, name: str) -> None:
    """RFC 9110, section 5.1: a proxy, or an emulator, may write names in another case than AWS."""
    listener.etag = name
    wire = BucketWire(client("s3", listener.url, s3={"addressing_style": "path"}), "bucket")

    assert wire.put("key", b"body", {}) == '"e"'


def test_list_arrives_signed_with_its_query(listener: Listener) -> None:
    """The listener's answer is no list, so it is left to boto3."""
    wire = BucketWire(client("s3", listener.url, s3={"addressing_style": "path"}), "bucket")

    assert wire.list({"Prefix": "a b/ü~", "StartAfter": "a+b", "MaxKeys": 1}) is None

    (request,) = listener.received
    assert request.headers["authorization"].endswith(f"Signature={signature(request, 's3')}")
    assert request.path == ("/bucket?encoding-type=url&list-type=2&max-keys=1&prefix=a%20b%2F%C3%BC~&start-after=a%2Bb")


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_bucket_has_the_address_that_boto3_uses(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At AWS: taken from the request that boto3 would send, which is not sent."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    s3 = boto3.client("s3", region_name=region, aws_access_key_id="k", aws_secret_access_key="s")
    urls: list[str] = []

    def stop(request: Any, **_: Any) -> None:
        urls.append(request.url)
        raise ConnectionError

    s3.meta.events.register("before-send.s3.PutObject", stop)
    with pytest.raises(ConnectionError):
        s3.put_object(Bucket="a-bucket", Key="k", Body=b"")

    wire = BucketWire(s3, "a-bucket")

    assert f"https://{wire.host}{wire.path('k')}" in {urls[0], urls[0].replace("s3.us-east-1.", "s3.")}


@pytest.mark.parametrize("is_trusted", [True, False])
def test_only_a_host_that_is_trusted_gets_a_request(
    is_trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    self_signed(certificate, key)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    if is_trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with listening(certificate, key) as listener:
        answer = SqsWire(client("sqs", listener.url.replace("http:", "https:"))).call("ReceiveMessage", {})

    assert (answer, len(listener.received)) == (({}, 1) if is_trusted else (None, 0))


def test_connection_that_the_service_has_closed_is_replaced(listener: Listener) -> None:
    """The listener speaks HTTP/1.0 and hangs up after each answer."""
    wire = SqsWire(client("sqs", listener.url))

    assert [wire.call("ReceiveMessage", {}) for _ in range(3)] == [{}, {}, {}]


def test_message_received_on_the_wire_equals_that_of_boto3(cloud: Cloud, sqs: Any, queue: str) -> None:
    attributes = {"origin": {"DataType": "String", "StringValue": "EWR"}}
    sqs.send_message(
        QueueUrl=queue, MessageBody="{}", MessageGroupId="g", MessageDeduplicationId="d", MessageAttributes=attributes
    )
    parameters = {
        "QueueUrl": queue,
        "VisibilityTimeout": 0,
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
    }

    (by_wire,) = SqsWire(sqs).call("ReceiveMessage", parameters)["Messages"]
    (by_boto3,) = sqs.receive_message(**parameters)["Messages"]

    for each in (by_wire, by_boto3):
        each.pop("ReceiptHandle")
        each["Attributes"].pop("ApproximateReceiveCount")
    assert by_wire == by_boto3


def test_put_whose_condition_does_not_hold_is_left_to_boto3(lake: Any) -> None:
    wire = BucketWire(lake.s3, lake.bucket)
    assert wire.put("key", b"first", {"If-None-Match": "*"}) is not None

    assert wire.put("key", b"second", {"If-None-Match": "*"}) is None
    assert lake.get("key") == b"first"


KEYS = ["a b+c/~d/é.parquet", "plain/1", "plain/2", "plain/3", "tab\tand\nline"]


def test_page_listed_on_the_wire_equals_that_of_boto3(lake: Any) -> None:
    wire = BucketWire(lake.s3, lake.bucket)
    for key in KEYS:
        lake.put(key, key.encode())

    for parameters in ({}, {"Prefix": "plain/"}, {"Prefix": "none/"}, {"Prefix": "plain/", "StartAfter": "plain/1"}):
        by_wire, by_boto3 = wire.list(parameters), lake.s3.list_objects_v2(Bucket=lake.bucket, **parameters)
        assert by_wire is not None
        assert by_wire["Contents"] == [
            {name: entry[name] for name in ("Key", "Size", "ETag")} for entry in by_boto3.get("Contents", ())
        ]
    first = wire.list({"MaxKeys": 2})
    assert first is not None
    rest = wire.list({"ContinuationToken": first["NextContinuationToken"]})
    assert rest is not None
    assert "NextContinuationToken" not in rest
    assert [entry["Key"] for page in (first, rest) for entry in page["Contents"]] == KEYS


def test_object_read_on_the_wire_equals_that_of_boto3(lake: Any) -> None:
    wire = BucketWire(lake.s3, lake.bucket)
    etag = f'"{lake.put(KEYS[0], b"body").etag}"'

    found, absent = wire.get(KEYS[0]), wire.get("absent")

    assert found is not None
    assert (found.status, found.body, found.headers["ETag"]) == (200, b"body", etag)
    assert absent is not None
    assert absent.status == 404


def test_bucket_that_does_not_exist_is_left_to_boto3(lake: Any) -> None:
    """A missing bucket is an error, and not an object that is absent."""
    wire = BucketWire(lake.s3, f"{lake.bucket}-not")

    assert (wire.get("key"), wire.list({})) == (None, None)


def test_unreachable_service_is_left_to_boto3() -> None:
    (port,) = free_ports(1)
    assert SqsWire(client("sqs", f"http://127.0.0.1:{port}")).call("ReceiveMessage", {}) is None


def test_behind_a_proxy_boto3_makes_every_call(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wire has no support for proxies, and must not bypass one."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    wire = SqsWire(client("sqs", "http://sqs.example.com"))

    assert wire.call("ReceiveMessage", {}) is None
    assert listener.received == []
