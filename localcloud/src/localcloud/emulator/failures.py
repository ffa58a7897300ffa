"""An answer that says why the emulator could not do it, in the form that the service's clients understand.

Restores: an internal error is a status 500 that clients retry, with a code and a message.

Source: Amazon S3 API Reference, "Error responses"; Amazon SQS API Reference, "Common errors" (InternalFailure).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

_STATUS = 500


def failure(service: str, headers: Mapping[str, str], message: str) -> tuple[int, dict[str, Any], bytes]:
    """An internal error, which clients try again: of S3, of the query protocol, or of the JSON protocol."""
    if service == "s3":
        body = f"<Error><Code>InternalError</Code><Message>{escape(message)}</Message></Error>"
        return _STATUS, {"Content-Type": "application/xml"}, f'<?xml version="1.0" encoding="UTF-8"?>{body}'.encode()
    if "json" in headers.get("content-type", ""):
        told = {"__type": "InternalFailure", "message": message}
        return _STATUS, {"Content-Type": headers["content-type"]}, json.dumps(told).encode()
    error = f"<Error><Type>Receiver</Type><Code>InternalFailure</Code><Message>{escape(message)}</Message></Error>"
    return _STATUS, {"Content-Type": "text/xml"}, f"<ErrorResponse>{error}</ErrorResponse>".encode()
