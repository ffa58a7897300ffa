"""What a case declares: the source, the pipeline and the contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sluice.declaration import (
    CloudEvents,
    CloudWatchLogs,
    ConcatenatedJson,
    Conform,
    EventBridge,
    FifoQueue,
    Gzip,
    Ndjson,
    Pipeline,
    S3Notification,
    Sns,
    SqsExtended,
    StandardQueue,
    Stream,
)
from sluice.declaration.envelopes import Envelope
from sluice.declaration.sources import EventSource
from tests.sluice import toy

SOURCE = "events"
_ENVELOPES: Mapping[str, Envelope] = {
    "sns": Sns(),
    "eventbridge": EventBridge(),
    "s3": S3Notification(),
    "cloudevents": CloudEvents(),
    "cloudwatch_logs": CloudWatchLogs(),
    "gzip": Gzip(),
    "ndjson": Ndjson(),
    "concatenated": ConcatenatedJson(),
}
_NONE = "no_such_member"


def source_of(given: Mapping[str, Any], payloads: str = "payloads") -> Any:
    """Return the declared source; ``payloads`` is the bucket of its payloads."""
    described = given["source"]
    declared = described.get("declared", {})
    envelopes = {**_ENVELOPES, "sqs_extended": SqsExtended(payloads)}
    options: dict[str, Any] = {
        "event_id": described.get("event_id") or _NONE,
        "event_time": described.get("event_time") or _NONE,
        "unwrap": tuple(envelopes[name] for name in declared.get("unwrap", ())),
        "event_time_unit": declared.get("event_time_unit"),
        "event_time_zone": declared.get("event_time_zone"),
    }
    match described["type"]:
        case "fifo":
            return FifoQueue(SOURCE, **options)
        case "standard":
            group, sequence = described.get("group") or _NONE, described.get("sequence")
            return StandardQueue(SOURCE, **options, group=group, sequence=sequence)
    return Stream(SOURCE, **options)


def pipeline_of(given: Mapping[str, Any], source: EventSource, contract: str = "contract:Contract") -> Pipeline:
    """Return the pipeline of a case, whose step ``conform`` conforms the source."""
    every = given.get("pipeline", {}).get("every", "day")
    conform = Conform("conform", source=SOURCE, contract=contract)
    return toy.toy(every=every, sources=(source, toy.DROPS), steps=(conform, *toy.TOY.steps[1:]))


def contract_module(contract: Mapping[str, Any]) -> str:
    """Return the Python source of the contract, as a user would write it."""
    lines = [
        "from datetime import date, datetime, time",
        "from decimal import Decimal",
        "from enum import StrEnum",
        "from typing import Annotated, Literal, Optional, Union",
        "from uuid import UUID",
        "from pydantic import BaseModel, Field",
    ]
    for name, values in contract.get("enums", {}).items():
        lines += [f"class {name}(StrEnum):", *(f"    V{n} = {value!r}" for n, value in enumerate(values))]
    for name, fields in {**contract.get("models", {}), "Contract": contract["fields"]}.items():
        lines += [f"class {name}(BaseModel):", *(f"    {field}: {_type(kind)}" for field, kind in fields.items())]
    return "\n".join(lines) + "\n"


def _type(kind: str) -> str:
    """Return a type of a case as Python: a member that may be None may be absent as well."""
    kind = re.sub(r"(model|enum):", "", kind)
    kind = re.sub(r"Decimal\((\d+), ?(\d+)\)", r"Annotated[Decimal, Field(max_digits=\1, decimal_places=\2)]", kind)
    return f"{kind} = None" if re.search(r"\bNone\b|^Optional\b", kind) else kind
