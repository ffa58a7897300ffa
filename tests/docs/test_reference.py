"""The reference pages are complete."""

from __future__ import annotations

import pytest
import typer
from tests.docs.pages import ROOT

from sluice.cli.app import app
from sluice.completions import CompletionEvent
from sluice.lake.layout import Folder
from sluice.lake.manifests import Manifest

REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("command", typer.main.get_command(app).commands)  # type: ignore[attr-defined]
def test_every_command_is_described(command: str) -> None:
    assert f"| `sluice {command} " in (REFERENCE / "cli.md").read_text()


def test_every_folder_of_the_lake_is_described() -> None:
    page = (REFERENCE / "lake.md").read_text()
    assert [folder for folder in Folder if f"s3://BUCKET/PIPELINE/{folder}/" not in page] == []


@pytest.mark.parametrize(("model", "page"), [(Manifest, "lake.md"), (CompletionEvent, "completion-events.md")])
def test_every_member_is_described(model: type[Manifest | CompletionEvent], page: str) -> None:
    members = set(model.model_fields) - {"schema_version", "dataset", "partition"}
    text = (REFERENCE / page).read_text()
    assert [member for member in members if f"`{member}`" not in text] == []
