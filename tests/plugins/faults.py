"""Answers of AWS in place of its own, most of them refusals, for the fixture ``at_aws``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse

Happens = Callable[..., Any]


def refused(code: str, message: str = "Rate exceeded", status: int = 400) -> AWSResponse:
    """Return an error in AWS's JSON protocol."""
    body = json.dumps({"__type": code, "message": message}).encode()
    return _answer(status, body, {"x-amzn-errortype": code})


def refused_by_s3(code: str, status: int = 400) -> AWSResponse:
    """Return an error as S3 does, in XML."""
    return _answer(status, f"<Error><Code>{code}</Code><Message>Rate exceeded</Message></Error>".encode(), {})


def answered(body: str) -> AWSResponse:
    """Return a success in AWS's JSON protocol."""
    return _answer(200, body.encode(), {})


def _answer(status: int, body: bytes, headers: dict[str, str]) -> AWSResponse:
    answer = AWSResponse("http://aws", status, headers, None)
    answer._content = body
    return answer
