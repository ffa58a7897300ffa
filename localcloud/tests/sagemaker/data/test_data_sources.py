"""Names of downloaded files."""

from __future__ import annotations

import pytest

from localcloud.sagemaker.data.data_sources import name_below


@pytest.mark.parametrize(
    ("prefix", "key", "name"),
    [
        ("data/train/", "data/train/a.csv", "a.csv"),
        ("data/train/", "data/train/more/b.csv", "more/b.csv"),
        ("data/train", "data/train/a.csv", "a.csv"),
        ("data/train", "data/train-2.csv", "train-2.csv"),
        ("data/train/a.csv", "data/train/a.csv", "a.csv"),
        ("", "a.csv", "a.csv"),
        ("tr", "train/a.csv", "train/a.csv"),
    ],
)
def test_a_file_is_named_below_its_prefix(prefix: str, key: str, name: str) -> None:
    assert name_below(prefix, key) == name
