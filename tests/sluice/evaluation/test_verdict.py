"""A verdict is a line of a log that says which model should be live, and why."""

from __future__ import annotations

import pytest

from sluice.evaluation.verdict import Verdict


@pytest.mark.parametrize(
    ("winner", "reasons", "line"),
    [
        ("toy-1", ("toy-1 should be live: its auc is 0.6843",), "verdict 3: toy-1 should be live: its auc is 0.6843"),
        (
            None,
            ("toy-1 has auc 0.5100 on the test rows, and the gate is at 0.6000", "toy-0 was tested on 3 rows"),
            "verdict 3: no model may be live; toy-1 has auc 0.5100 on the test rows, and the gate is at 0.6000; "
            "toy-0 was tested on 3 rows",
        ),
    ],
)
def test_verdict_is_described_in_one_line(winner: str | None, reasons: tuple[str, ...], line: str) -> None:
    verdict = Verdict(
        snapshot="s",
        metric="auc",
        rules={},
        challengers=("toy-1",),
        champion=None,
        judgements=(),
        winner=winner,
        reasons=reasons,
    )

    assert verdict.describe(3) == line
