"""The hot path to a service: signed requests over open connections, without botocore's model of the service.

A boto3 call spends most of its time on validation, endpoint rules, headers, events and a new signing key. A wire does
only what the service needs. It returns a response only if the call succeeds at the first attempt, else None. The caller
then makes the same call with its boto3 client, which retries it and raises the errors that callers handle. So a wire
needs no retries and no errors of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_plus, urlsplit
from xml.etree import ElementTree

from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_OK, _NOT_FOUND = 200, 404
_NO_SUCH_KEY = b"<Code>NoSuchKey</Code>"
_CAPITAL = re.compile(r"(?<=.)([A-Z])")


@dataclass(frozen=True)
class Response:
    """The response to a request that succeeded, or that found nothing. Names of headers are equal in any case."""

    status: int
    headers: Message
    body: bytes


class Signer:
    """Signs requests to one host with Signature Version 4 (IAM user guide, "Create a signed AWS API request").

    The signing key of a day is derived once. All headers are signed, and so is the digest of the body.

    Args:
        host: The host as the ``Host`` header names it, with the port if it has one.
        region: The AWS region, such as ``eu-central-1``.
        service: The signing name of the service, such as ``s3``.
    """

    def __init__(self, host: str, region: str, service: str) -> None:
        self._host, self._scope = host, f"{region}/{service}/aws4_request"
        self._key: tuple[tuple[str | None, str], bytes] | None = None

    def signed(
        self,
        credentials: ReadOnlyCredentials,
        now: datetime,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Mapping[str, str]:
        """Return the headers of a signed request: the given ones, in lower case, and those of the signature.

        Args:
            credentials: The keys to sign with, and the session token if there is one.
            now: The time of the signature (UTC).
            method: The HTTP method, in upper case.
            path: The path, URI-encoded. A query may follow, also encoded, with its parameters in order.
            headers: The headers of the service's own.
            body: The bytes to send, whose digest is signed.
        """
        date, digest = now.strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(body).hexdigest()
        sent = {name.lower(): value for name, value in headers.items()}
        sent |= {"host": self._host, "x-amz-date": date, "x-amz-content-sha256": digest}
        if credentials.token:
            sent["x-amz-security-token"] = credentials.token
        names = sorted(sent)
        listed, scope = ";".join(names), f"{date[:8]}/{self._scope}"
        path, _, query = path.partition("?")
        canonical = "\n".join([method, path, query, *(f"{name}:{sent[name]}" for name in names), "", listed, digest])
        text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.digest(self._key_of(credentials.secret_key, scope), text.encode(), "sha256").hex()
        sent["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, "
            f"Signature={signature}"
        )
        return sent

    def _key_of(self, secret: str | None, scope: str) -> bytes:
        cached = self._key
        if cached is None or cached[0] != (secret, scope):
            key = f"AWS4{secret}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = cached = ((secret, scope), key)
        return cached[1]


class Wire:
    """Sends signed requests to one host, with the settings of a boto3 client. Thread-safe.

    Args:
        client: Its credentials, region and time-outs are used.
        url: The URL of the host; a path in it is ignored.
    """

    def __init__(self, client: BaseClient, url: str) -> None:
        meta, parts = client.meta, urlsplit(url)
        self._config: Any = meta.config
        self._host, self._is_tls = parts.netloc, parts.scheme == "https"
        # boto3 itself reads its clients' credentials in this way (boto3.crt).
        self._credentials = client._get_credentials()  # type: ignore[attr-defined]
        self._signer = Signer(self._host, meta.region_name, meta.service_model.signing_name)
        self._usable = self._credentials is not None and not get_environ_proxies(url)
        self._idle: deque[HTTPConnection] = deque()
        weakref.finalize(self, _close, self._idle)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response | None:
        """Send a request.

        Args:
            method: The HTTP method, in upper case.
            path: The path, as for :meth:`Signer.signed`.
            headers: The headers of the service's own; those of the signature are added.
            body: The bytes to send.

        Returns:
            The response if its status is 200 or 404. None if the request failed, or if its outcome is unknown.
        """
        if not self._usable:
            return None
        credentials = self._credentials.get_frozen_credentials()
        signed = self._signer.signed(credentials, datetime.now(UTC), method, path, headers, body)
        connection: HTTPConnection | None = None
        try:
            connection = self._connection()
            connection.request(method, path, body, signed)
            response = connection.getresponse()
            read = response.read()
        except (OSError, HTTPException):
            if connection is not None:
                connection.close()
            return None
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        if response.status not in (_OK, _NOT_FOUND):
            return None
        return Response(response.status, response.headers, read)

    def _connection(self) -> HTTPConnection:
        """Return an idle connection, or a new one. Raises OSError if the host can't be reached."""
        try:
            return self._idle.pop()
        except IndexError:
            pass
        seconds = self._config.connect_timeout
        if self._is_tls:
            trusted = os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True)  # what boto3 trusts
            context = ssl.create_default_context(cafile=trusted)
            connection: HTTPConnection = HTTPSConnection(self._host, timeout=seconds, context=context)
        else:
            connection = HTTPConnection(self._host, timeout=seconds)
        connection.connect()
        connection.sock.settimeout(self._config.read_timeout)
        return connection


def _close(connections: deque[HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


class SqsWire:
    """Makes calls of SQS in place of a client."""

    def __init__(self, sqs: SQSClient) -> None:
        self._wire = Wire(sqs, sqs.meta.endpoint_url)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        """Make a call.

        Args:
            operation: The name of the call in SQS's API, such as ``ReceiveMessage``.
            parameters: The parameters as in SQS's API reference.

        Returns:
            The response, with binary values as base64; None if the boto3 client must make the call.
        """
        headers = {"X-Amz-Target": f"AmazonSQS.{operation}", "Content-Type": "application/x-amz-json-1.0"}
        response = self._wire.send("POST", "/", headers, json.dumps(parameters).encode())
        return None if response is None or response.status != _OK else json.loads(response.body)


class BucketWire:
    """Reads, lists and writes the objects of one bucket in place of a client.

    Attributes:
        host: The host to which the requests go.
    """

    def __init__(self, s3: S3Client, bucket: str) -> None:
        # boto3 decides whether the bucket is part of the host name or of the path. Its presigned links name the global
        # host, which redirects. So only the path is taken from the link, and the host is that of the region.
        link = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}))
        self._folder = link.path.removesuffix("k")
        region = urlsplit(s3.meta.endpoint_url)
        self.host = region.netloc if self._folder != "/" else f"{bucket}.{region.netloc}"
        self._wire = Wire(s3, f"{region.scheme}://{self.host}")

    def path(self, key: str) -> str:
        """Return the path of an object at the host, URI-encoded."""
        return self._folder + quote(key, safe="/~")

    def put(self, key: str, body: bytes, conditions: Mapping[str, str]) -> str | None:
        """Write an object.

        Args:
            key: The key of the object.
            body: The content.
            conditions: The headers of a conditional write, such as ``If-None-Match``.

        Returns:
            The ETag of the object, with its quotes; None if the boto3 client must make the call.
        """
        response = self._wire.send("PUT", self.path(key), conditions, body)
        return None if response is None or response.status != _OK else response.headers["ETag"]

    def get(self, key: str) -> Response | None:
        """Read an object.

        Args:
            key: The key of the object.

        Returns:
            The response; its status is 404 if there is no such object. None if the boto3 client must make the call.
        """
        response = self._wire.send("GET", self.path(key), {}, b"")
        is_known = response is not None and (response.status == _OK or _NO_SUCH_KEY in response.body)
        return response if is_known else None

    def list(self, parameters: Mapping[str, str | int]) -> Mapping[str, Any] | None:
        """List objects. boto3 takes most of its time for the dates, which nobody needs.

        Args:
            parameters: Those of ListObjectsV2, as the boto3 client takes them, without the bucket.

        Returns:
            A page as the boto3 client returns it, with the objects' keys, sizes and ETags; None if the client must make
            the call.
        """
        query = {_CAPITAL.sub(r"-\1", name).lower(): value for name, value in parameters.items()}
        query |= {"list-type": 2, "encoding-type": "url"}
        encoded = "&".join(f"{name}={quote(str(query[name]), safe='~')}" for name in sorted(query))
        response = self._wire.send("GET", f"{self._folder.rstrip('/') or '/'}?{encoded}", {}, b"")
        if response is None or response.status != _OK:
            return None
        try:
            return _page(ElementTree.fromstring(response.body))  # noqa: S314  # botocore uses the same parser
        except ElementTree.ParseError:
            return None


def _page(listed: ElementTree.Element) -> Mapping[str, Any]:
    # Botocore decodes the keys in the same way (botocore.handlers.decode_list_object_v2).
    page: dict[str, Any] = {
        "Contents": [
            {
                "Key": unquote_plus(entry.findtext("{*}Key", "")),
                "Size": int(entry.findtext("{*}Size", "0")),
                "ETag": entry.findtext("{*}ETag", ""),
            }
            for entry in listed.iterfind("{*}Contents")
        ]
    }
    token = listed.findtext("{*}NextContinuationToken")
    return page if token is None else {**page, "NextContinuationToken": token}
