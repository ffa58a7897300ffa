"""A small pipeline of the tests' own: readings of meters, conformed, doubled, and added up over two days."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sluice.declaration import (
    Conform,
    Deployment,
    Drops,
    FifoQueue,
    Gate,
    Input,
    Pipeline,
    StandardQueue,
    Step,
    Stream,
    Training,
    XGBoost,
)

EVENTS = FifoQueue("events", event_id="id", event_time="at")
MESSAGES = StandardQueue("messages", event_id="id", event_time="at", group="meter", sequence="n")
STREAM = Stream("stream", event_id="id", event_time="at")
DROPS = Drops("weather", prefix="drops/weather/")

TOY = Pipeline(
    name="toy",
    every="day",
    start=datetime(2013, 1, 1, tzinfo=UTC),
    sources=(EVENTS, DROPS),
    steps=(
        Conform("conform", source="events", contract="contract:Reading"),
        Step("doubled", run="steps:doubled", reads=(Input("conform"),)),
        Step("running", run="steps:running", reads=(Input("doubled", look_back=1),)),
    ),
    training=Training(
        rows="running",
        label="late",
        features=("value", "total"),
        candidates=(XGBoost({"objective": "binary:logistic", "eval_metric": "auc", "num_round": 5, "nthread": 1}),),
        gate=Gate("auc", at_least=0.6, rows=1),
    ),
    deployment=Deployment(endpoint="toy-late"),
)

CONTRACT = """
from datetime import datetime
from pydantic import BaseModel, ConfigDict

class Reading(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    at: datetime
    value: int
"""

STEPS = """
import pandas as pd

def doubled(conform):
    return conform.assign(value=conform["value"] * 2)

def running(doubled, doubled_before):
    rows = doubled[["event_id", "event_time", "value"]].copy()
    rows["total"] = int(doubled["value"].sum() + doubled_before["value"].sum())
    return rows
"""

MODULES: Mapping[str, str] = {"contract": CONTRACT, "steps": STEPS}


def toy(**changes: Any) -> Pipeline:
    """Return the pipeline with some members changed."""
    return replace(TOY, **changes)


def reading(name: str, at: str | datetime, value: Any = 1, **members: Any) -> str:
    """Return the JSON body of one event."""
    moment = at.isoformat() if isinstance(at, datetime) else at
    return json.dumps({"id": name, "at": moment, "value": value, **members})


def message(body: str, place: int = 1, *, group: str = "g", receive_count: int = 1, **system: Any) -> dict[str, Any]:
    """Return a message as SQS returns it; ``place`` makes its sequence number and its ids."""
    return {
        "MessageId": f"message-{place}",
        "ReceiptHandle": f"handle-{place}-{receive_count}",
        "Body": body,
        "Attributes": {
            "SentTimestamp": "1388534400000",  # 2014-01-01T00:00:00Z
            "SequenceNumber": str(place),
            "MessageGroupId": group,
            "MessageDeduplicationId": f"dedup-{place}",
            "ApproximateReceiveCount": str(receive_count),
            **system,
        },
    }
