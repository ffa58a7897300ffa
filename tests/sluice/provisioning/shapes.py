"""Declarations of every shape, and what each of them makes at AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.sluice.toy import DROPS, EVENTS, MESSAGES, STREAM, TOY

from sluice.declaration import Conform, Input, Network, Pipeline, Scoring, Step, Stream

LAST = TOY.steps[-1].name
KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SEVERAL = (
    EVENTS,
    replace(EVENTS, name="returns", retention=timedelta(days=4), visibility_timeout=timedelta(seconds=90)),
    MESSAGES,
    replace(MESSAGES, name="late_messages", retention=timedelta(days=1), max_receives=3),
    STREAM,
    Stream("clicks", event_id="id", event_time="at", shards=2, retention=timedelta(days=2)),
    Stream("bursts", event_id="id", event_time="at", shards=None),
    Stream("pushed", event_id="id", event_time="at", fan_out=True),
    DROPS,
    replace(DROPS, name="tariffs", prefix="drops/tariffs/"),
)
DROPS_ONLY: Mapping[str, Any] = {
    "sources": (DROPS,),
    "steps": (Step(LAST, run="steps:doubled", reads=(Input("weather"),)),),
}


def _of(source: Any) -> Mapping[str, Any]:
    conform = Conform("conform", source=source.name, contract="contract:Reading")
    return {"sources": (source,), "steps": (conform, *TOY.steps[1:])}


def _shape(name: str, **changes: Any) -> Pipeline:
    return replace(TOY, **{"name": name, **changes})


SHAPES: Mapping[str, Pipeline] = {
    shape.name: shape
    for shape in (
        _shape("fifo_only", **_of(EVENTS)),
        _shape("standard_only", **_of(MESSAGES)),
        _shape("stream_only", **_of(STREAM)),
        _shape("several", sources=SEVERAL),
        _shape("drops_only", **DROPS_ONLY),
        _shape("lake_only", training=None, deployment=None),
        _shape("model_only", deployment=None),
        _shape("batch", deployment=None, scoring=Scoring(keep=("value",))),
        _shape(
            "guarded",
            sources=SEVERAL,
            kms_key=KEY,
            network=Network(("subnet-0a1b2c3d", "subnet-0a1b2c3e"), ("sg-0a1b2c3d",)),
            tags={"team": "freight", "cost-centre": "47 11"},
        ),
        _shape("hourly", every="hour"),
    )
}
