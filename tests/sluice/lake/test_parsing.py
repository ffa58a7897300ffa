"""A JSON object of the lake that is not what Sluice has written is named in one line, with the next action."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from tests.sluice.lake_contents import partition, put_raw
from tests.sluice.toy import EVENTS, message

from sluice.aws.failures import is_transient
from sluice.dataset.profile import Profile
from sluice.dataset.snapshot import Snapshot
from sluice.errors import OutdatedObject, UnreadableObject
from sluice.evaluation.verdict import Verdict
from sluice.lake.manifests import Manifest
from sluice.lake.parsing import parsed
from sluice.lake.store import Lake
from sluice.landing.closing import Observed
from sluice.monitoring.report import Report
from sluice.serving.plan import Plan
from sluice.serving.records import DeploymentRecord
from sluice.serving.registry import Version
from sluice.sources.queue.progress import QueueProgress
from sluice.sources.started import Started
from sluice.sources.stream.checkpoints import Checkpoint

KINDS = (
    Checkpoint,
    DeploymentRecord,
    Manifest,
    Observed,
    Plan,
    Profile,
    QueueProgress,
    Report,
    Snapshot,
    Started,
    Verdict,
    Version,
)
URI = "s3://bucket/toy/object.json"


@pytest.mark.parametrize("kind", KINDS)
def test_newer_schema_is_refused_with_the_update_that_reads_it(kind: type[BaseModel]) -> None:
    known = kind.model_fields["schema_version"].default

    with pytest.raises(UnreadableObject) as refused:
        parsed(URI, f'{{"schema_version": {known + 1}}}'.encode(), kind)

    expected = f"{URI} has schema {known + 1}, and this version of Sluice reads {known}; update Sluice"
    assert str(refused.value) == expected
    assert not is_transient(refused.value)


@pytest.mark.parametrize("body", [b"", b"{", b'{"schema_version":1,"data', b"\xff", b"\x00" * 40])
def test_object_that_is_cut_off_is_named(body: bytes) -> None:
    with pytest.raises(UnreadableObject) as refused:
        parsed(URI, body, Manifest)

    assert str(refused.value) == (
        f"{URI} is no JSON: it is cut off or damaged; restore its former version, or remove it if something else "
        f"wrote it"
    )


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{}", "dataset: Field required"),
        (b"[]", "the whole: Input should be an object"),
        (b"7", "the whole: Input should be an object"),
        (b'{"schema_version": "new"}', "schema_version: Input should be 1"),
        (b'{"schema_version": true}', "dataset: Field required"),
    ],
)
def test_object_of_another_form_is_named_with_its_first_fault(body: bytes, where: str) -> None:
    with pytest.raises(UnreadableObject) as refused:
        parsed(URI, body, Manifest)

    assert str(refused.value).startswith(f"{URI} is no Manifest of Sluice: {where}; restore its former version")


def test_older_schema_is_told_apart() -> None:
    with pytest.raises(OutdatedObject, match="has schema 1 of an older version of Sluice, and this one reads 2"):
        parsed(URI, b'{"schema_version": 1}', Snapshot)


def test_manifest_of_another_partition_is_refused(lake: Lake) -> None:
    """A copy of a manifest names the rows of another day: no step may read them as those of this one."""
    put_raw(lake, EVENTS, "2013-01-01", [message("{}")])
    lake.put("toy/raw/events/dt=2013-01-02/_manifest.json", lake.get("toy/raw/events/dt=2013-01-01/_manifest.json"))

    with pytest.raises(
        UnreadableObject, match=r"dt=2013-01-02/_manifest\.json .* it is that of raw/events, dt=2013-01-01"
    ):
        lake.manifest("raw/events", partition("2013-01-02"))
    assert lake.manifest("raw/events", partition("2013-01-01")) is not None
