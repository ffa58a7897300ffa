"""An error answer with the reason of a failure, in the form that the service's clients understand.

Restores: an internal error is a status 500 that clients retry, with a code and a message.

Source: Amazon S3 API Reference, "Error responses"; Amazon SQS API Reference, "Common errors" (InternalFailure).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from xml.sax.saxutils import escape

_STATUS = 500


def failure(service: str, headers: Mapping[str, str], message: str) -> tuple[int, dict[str, str], bytes]:
    """Return an internal error, after which clients retry: the status, headers and body.

    Args:
        service: The service as the emulator names it; S3 has a form of its own.
        headers: The request's headers, which show whether it used the JSON or the query protocol.
        message: The reason.
    """
    if service == "s3":
        body = f"<Error><Code>InternalError</Code><Message>{escape(message)}</Message></Error>"
        return _STATUS, {"Content-Type": "application/xml"}, f'<?xml version="1.0" encoding="UTF-8"?>{body}'.encode()
    if "json" in headers.get("content-type", ""):
        error_body = {"__type": "InternalFailure", "message": message}
        return _STATUS, {"Content-Type": headers["content-type"]}, json.dumps(error_body).encode()
    error = f"<Error><Type>Receiver</Type><Code>InternalFailure</Code><Message>{escape(message)}</Message></Error>"
    return _STATUS, {"Content-Type": "text/xml"}, f"<ErrorResponse>{error}</ErrorResponse>".encode()
