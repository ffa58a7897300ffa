"""Content types and their formats."""

from __future__ import annotations

import pytest

from localcloud.sagemaker.algorithms.xgboost.content_types import data_format
from localcloud.sagemaker.jobs.child import UserError


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (None, "libsvm"),
        ("csv", "csv"),
        ("text/csv", "csv"),
        ("TEXT/CSV; charset=utf8", "csv"),
        ("text/csv;label_size=1", "csv"),
        ("text/x-libsvm", "libsvm"),
        ("application/x-parquet", "parquet"),
        ("recordio-protobuf", "recordio-protobuf"),
        ("application/x-recordio-protobuf", "recordio-protobuf"),
    ],
)
def test_a_content_type_has_its_format(content_type: str | None, expected: str) -> None:
    assert data_format(content_type) == expected


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        ("application/json", "application/json is not an accepted ContentType: csv, libsvm, parquet"),
        ("text/csv;label_size=0", "Optional parameter label_size must be equal to 1"),
        ("", "is not an accepted ContentType"),
    ],
)
def test_other_content_types_are_refused(content_type: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        data_format(content_type)
