"""Service Quotas, as far as it tells which instances of SageMaker the account may use.

The emulator has no such service. This answers the four operations that read quotas; all others, and other services than
``sagemaker``, are refused. Nothing can be changed, so the applied values are the default ones.

Source: Service Quotas API reference.
"""

from __future__ import annotations

import functools
import json
import zlib
from typing import Any

import botocore.loaders
from botocore.model import ServiceModel

from localcloud.quotas import USAGES, quota, quota_name
from localcloud.request_guard import Application, Message, Receive, Scope, Send

_PREFIX = "ServiceQuotasV20190624."
_LISTS = ("ListServiceQuotas", "ListAWSDefaultServiceQuotas")
_GETS = ("GetServiceQuota", "GetAWSDefaultServiceQuota")
_LARGEST_BODY = 64 * 1024
_LARGEST_PAGE = 100
_ARN = "arn:aws:servicequotas:us-east-1:000000000000:sagemaker"


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ServiceQuotas:
    """An ASGI application that answers Service Quotas, and passes on all else."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request if it is for Service Quotas."""
        target = _target(scope) if scope["type"] == "http" else ""
        if not target.startswith(_PREFIX):
            await self._app(scope, receive, send)
            return
        try:
            status, answer = 200, answer_to(target.removeprefix(_PREFIX), _parsed(await _body(receive)))
        except _RefusedError as error:
            status, answer = 400, {"__type": error.code, "message": str(error)}
        await _respond(status, answer, send)


def answer_to(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of an operation.

    Args:
        operation: Its name, such as ``ListServiceQuotas``.
        request: Its members.
    """
    if operation not in (*_LISTS, *_GETS):
        raise _RefusedError("UnknownOperationException", f"This emulator has no operation {_PREFIX}{operation}.")
    if request.get("ServiceCode") != "sagemaker":
        raise _RefusedError("NoSuchResourceException", "This emulator knows the quotas of ServiceCode sagemaker only.")
    code = request.get("QuotaCode")
    found = [each for each in _quotas() if code in (None, each["QuotaCode"])]
    if operation in _LISTS:
        return _page(found, request)
    if code is None or not found:
        raise _RefusedError("NoSuchResourceException", f"The service sagemaker has no quota {code}.")
    return {"Quota": found[0]}


def _page(quotas: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    """Return a page of quotas. Its token is the place of the next one."""
    token, most = request.get("NextToken", "0"), request.get("MaxResults", _LARGEST_PAGE)
    if not isinstance(most, int) or not 1 <= most <= _LARGEST_PAGE:
        raise _RefusedError("IllegalArgumentException", f"MaxResults must be 1 to {_LARGEST_PAGE}.")
    if not isinstance(token, str) or not token.isdecimal():
        raise _RefusedError("InvalidPaginationTokenException", "NextToken is none that this service has given.")
    first = int(token)
    last = first + most
    return {"Quotas": quotas[first:last], **({"NextToken": str(last)} if last < len(quotas) else {})}


@functools.cache
def _quotas() -> list[dict[str, Any]]:
    """Return all quotas, in the order of their names."""
    model = ServiceModel(botocore.loaders.Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
    types: dict[str, Any] = {shape: model.shape_for(shape) for shape in USAGES}
    found = [
        _quota(quota_name(instance_type, usage), quota(instance_type))
        for shape, usages in USAGES.items()
        for usage in usages
        for instance_type in types[shape].enum
    ]
    return sorted(found, key=lambda each: str(each["QuotaName"]))


def _quota(name: str, value: int) -> dict[str, Any]:
    code = f"L-{zlib.crc32(name.encode()):08X}"  # of AWS's form; AWS's own codes follow no rule
    return {
        "ServiceCode": "sagemaker",
        "ServiceName": "Amazon SageMaker",
        "QuotaArn": f"{_ARN}/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _target(scope: Scope) -> str:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return next((value.decode("latin-1") for name, value in headers if name == b"x-amz-target"), "")


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message: Message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _LARGEST_BODY:
            raise _RefusedError("IllegalArgumentException", f"The body has more than {_LARGEST_BODY} bytes.")
    return body


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise _RefusedError("SerializationException", "The body is not JSON.") from error
    if not isinstance(request, dict):
        raise _RefusedError("SerializationException", "The body is not a JSON object.")
    return request


async def _respond(status: int, answer: dict[str, Any], send: Send) -> None:
    body = json.dumps(answer).encode()
    headers = [
        (b"content-type", b"application/x-amz-json-1.1"),
        (b"content-length", str(len(body)).encode()),
        *([(b"connection", b"close")] if status != 200 else []),  # a body that is too large is not read to its end
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
