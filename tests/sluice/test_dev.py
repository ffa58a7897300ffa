"""What `sluice dev` does for a training."""

from __future__ import annotations

from tests.sluice.serving.live import Live

from sluice.dev import train
from sluice.evaluation.verdict import read_verdict


def test_training_ends_with_a_verdict_and_its_report(live: Live) -> None:
    workspace, said = live.workspace, list[str]()

    number = train(workspace, None, None, 0.2, said.append)

    verdict = read_verdict(workspace.lake, number)
    assert verdict.snapshot == live.fingerprint
    assert workspace.lake.read(workspace.lake.layout.report(number)) is not None
    assert train(workspace, None, None, 0.2, said.append) >= number
