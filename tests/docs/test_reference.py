"""The reference pages are complete."""

from __future__ import annotations

import re

import pytest
import typer
from tests.docs.pages import ROOT

from sluice.cli.app import app
from sluice.completions import CompletionEvent
from sluice.lake.layout import Folder
from sluice.lake.manifests import Manifest
from sluice.records.payloads import Unreadable
from sluice.records.times import NO_TIME, OUT_OF_RANGE

REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("command", typer.main.get_command(app).commands)  # type: ignore[attr-defined]
def test_every_command_is_described(command: str) -> None:
    assert f"| `sluice {command} " in (REFERENCE / "cli.md").read_text()


def test_every_folder_of_the_lake_is_described() -> None:
    page = (REFERENCE / "lake.md").read_text()
    assert [folder for folder in Folder if f"s3://BUCKET/PIPELINE/{folder}/" not in page] == []


def test_every_reason_of_landing_is_described() -> None:
    """A reason stands in the code as one text, or as the kind of a fault of times or of payloads."""
    sources = [path.read_text() for path in (ROOT / "include" / "sluice" / "records").rglob("*.py")]
    found = {reason for text in sources for reason in re.findall(r'"((?:envelope|gzip|payload): \w+)"', text)}
    found |= {f"event_time: {kind}" for kind in ("missing", NO_TIME, OUT_OF_RANGE)}
    found |= {f"payload: {kind}" for kind in re.findall(r"``(\w+)``", str(Unreadable.__doc__))}
    page = (REFERENCE / "reasons.md").read_text()
    described = set(re.findall(r"^\| `((?:envelope|gzip|payload|event_time): [^`]+)` \|", page, re.MULTILINE))
    assert described == found


@pytest.mark.parametrize(("model", "page"), [(Manifest, "lake.md"), (CompletionEvent, "completion-events.md")])
def test_every_member_is_described(model: type[Manifest | CompletionEvent], page: str) -> None:
    members = set(model.model_fields) - {"schema_version", "dataset", "partition"}
    text = (REFERENCE / page).read_text()
    assert [member for member in members if f"`{member}`" not in text] == []
