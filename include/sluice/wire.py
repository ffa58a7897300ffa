"""The hot path to a service: signed requests over a pool of connections, without botocore's model of the service.

A boto3 call spends most of its time on validation, endpoint rules, headers and events: four times as much as on
signing and sending. Where thousands of equal calls are made, this does only the latter, with botocore's own signer and
urllib3, and only for calls that succeed at once: whatever else happens, the caller makes the same call with its boto3
client, which retries it and raises what callers know. So a wire needs no retries and no errors of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from urllib3 import BaseHTTPResponse, Timeout, connection_from_url
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_OK = 200
_CONNECTIONS = 64  # that are kept open: for every thread of a drain of 20 receivers


class Wire:
    """Signed requests to one host, with the credentials, region and time-outs of a boto3 client."""

    def __init__(self, client: BaseClient, url: str, sign: type[SigV4Auth]) -> None:
        meta = client.meta
        config: Any = meta.config
        self._origin = url
        # boto3 itself hands its clients' credentials on by this (boto3.crt).
        self._credentials = client._get_credentials()  # type: ignore[attr-defined]
        self._sign, self._service, self._region = sign, meta.service_model.signing_name, meta.region_name
        trusted = os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True)
        self._pool = connection_from_url(
            url,
            timeout=Timeout(connect=config.connect_timeout, read=config.read_timeout),
            maxsize=_CONNECTIONS,
            **({"ca_certs": trusted} if url.startswith("https:") else {}),
        )
        self._usable = self._credentials is not None and not get_environ_proxies(url)

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> BaseHTTPResponse | None:
        """The answer if it is a plain success, else None: it failed, or nobody knows whether it did."""
        if not self._usable:
            return None
        request = AWSRequest(method, self._origin + path, headers, body)
        self._sign(self._credentials.get_frozen_credentials(), self._service, self._region).add_auth(request)
        try:
            answer = self._pool.urlopen(method, path, body, dict(request.headers.items()), retries=False)
        except HTTPError:
            return None
        return answer if answer.status == _OK else None


class SqsWire:
    """Calls of one SQS client."""

    def __init__(self, sqs: SQSClient) -> None:
        self._wire = Wire(sqs, sqs.meta.endpoint_url, SigV4Auth)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        """The answer of an operation, as boto3 gives it; None if the client itself should ask (see above)."""
        headers = {"X-Amz-Target": f"AmazonSQS.{operation}", "Content-Type": "application/x-amz-json-1.0"}
        answer = self._wire.send("POST", "/", headers, json.dumps(parameters).encode())
        return None if answer is None else json.loads(answer.data)


class BucketWire:
    """Puts into one bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        # Whether a bucket is reached by a host name of its own or by a path is for boto3 to say; it signs its links for
        # the host of all regions, which sends requests on to the right one.
        link = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}))
        self._folder = link.path.removesuffix("k")
        region = urlsplit(s3.meta.endpoint_url)
        host = region.netloc if self._folder != "/" else f"{bucket}.{region.netloc}"
        self._wire = Wire(s3, f"{region.scheme}://{host}", S3SigV4Auth)

    def put(self, key: str, body: bytes, conditions: Mapping[str, str]) -> str | None:
        """The ETag of the object that this wrote; None if the client itself should put it (see above).

        ``conditions`` are the headers of a conditional write.
        """
        answer = self._wire.send("PUT", self._folder + quote(key, safe="/~"), conditions, body)
        return None if answer is None else answer.headers["ETag"]
