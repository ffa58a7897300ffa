"""Which answers are equal, by the kind of the comparison."""

from __future__ import annotations

import pytest
from tests.golden import compare

from localcloud.sagemaker.algorithms import recordio


@pytest.mark.parametrize(
    ("kind", "tolerance", "expected", "seen", "same"),
    [
        ("exact", 0, "0.5\n1.25\n", "0.5\n1.25\n", True),
        ("exact", 0, "0.5\n1.25\n", "0.500001\n1.25\n", True),
        ("exact", 0, "0.5\n1.25\n", "0.5001\n1.25\n", False),
        ("exact", 0, "0.5\n1.25\n", "0.5\n1.25", False),
        ("exact", 0, "1.0\n", "1\n", False),
        ("exact", 0, "nan\n", "nan\n", True),
        ("exact", 0, "nan\n", "0.5\n", False),
        ("tolerance", 0.01, "100.0,2\n", "100.9,2\n", True),
        ("tolerance", 0.01, "100.0,2\n", "102.0,2\n", False),
        ("shape", None, '{"score": 0.5}', '{"score": -12.25}', True),
        ("shape", None, '{"score": 0.5}', '{"scores": 0.5}', False),
        ("shape", None, "0.5\n0.5\n", "0.5\n", False),
        ("exact", 0, '{"a": 1, "b": 2}', '{"b": 2, "a": 1}', False),
        ("exact_any_order", 0, '{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True),
        ("exact_any_order", 0, '{"a": 1, "b": 2}', '{"b": 1, "a": 2}', False),
    ],
)
def test_bodies_are_compared_by_their_kind(
    kind: str, tolerance: float | None, expected: str, seen: str, same: bool
) -> None:
    found = compare.bodies(kind, tolerance, expected.encode(), seen.encode(), "application/json")
    assert (found == []) == same


@pytest.mark.parametrize(
    ("kind", "expected", "seen", "same"),
    [
        ("exact", "[0]\ttrain-auc:0.51234", "[0]\ttrain-auc:0.51235", True),
        ("exact", "[0]\ttrain-auc:0.51234", "[0]\ttrain-auc:0.51237", False),
        ("exact", "[0]\ttrain-auc:0.5\ttrain-error:0.1", "[0]\ttrain-error:0.1\ttrain-auc:0.5", False),
        ("exact_any_order", "[0]\ttrain-auc:0.5\ttrain-error:0.1", "[0]\ttrain-error:0.1\ttrain-auc:0.5", True),
        ("exact_any_order", "[0]\ttrain-auc:0.5\ttrain-error:0.1", "[0]\ttrain-error:0.5\ttrain-auc:0.1", False),
        ("shape", "[0]\ttrain-auc:0.5", "[0]\ttrain-auc:0.9", True),
        ("shape", "[0]\ttrain-auc:0.5", "[0]\ttrain-error:0.9", False),
    ],
)
def test_metric_lines_are_compared_by_their_kind(kind: str, expected: str, seen: str, same: bool) -> None:
    assert (compare.lines(kind, 0, [expected], [seen]) == []) == same


def test_metrics_are_compared_by_name() -> None:
    recorded, seen = {"train:auc": "nan", "train:error": 0.25}, {"train:error": 0.25, "train:auc": float("nan")}
    assert compare.metrics("exact", 0, recorded, seen) == []
    half, more = {"train:auc": 0.5}, {"train:auc": 0.6}
    assert compare.metrics("exact", 0, half, more) == ["train:auc: 0.5 was expected, 0.6 seen"]
    assert compare.metrics("shape", None, half, more) == []
    assert compare.metrics("shape", None, half, {"train:error": 0.5}) != []


def test_records_are_compared_by_their_entries() -> None:
    kind = "application/x-recordio-protobuf"
    one, other = recordio.encode_answer([{"a": 1.0, "b": 2.0}]), recordio.encode_answer([{"b": 2.0, "a": 1.0}])
    assert compare.bodies("exact", 0, one, other, kind) == []
    assert compare.bodies("exact", 0, one, recordio.encode_answer([{"a": 1.0, "b": 2.5}]), kind) != []


def test_the_spacing_of_an_error_does_not_count() -> None:
    assert compare.salient("a reason\n for it", "because: a  reason for it.") == []
    assert compare.salient("a reason", "none") == ["'a reason' isn't in 'none'"]
