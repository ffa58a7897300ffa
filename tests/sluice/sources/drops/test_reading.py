"""A dropped file is read by the format of its name, and named as it was dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.sluice.toy import DROPS

from sluice.declaration import Csv
from sluice.lake.manifests import File
from sluice.sources.drops.reading import RefusedDrop, format_of, read_drop, read_landed


def test_landed_file_is_named_as_it_was_dropped() -> None:
    file = File(key="toy/raw/weather/part-1.csv", size=0, etag="e", rows=0, origin="drops/weather/dt=2013-01-01/A.CSV")

    with pytest.raises(RefusedDrop, match=r"^drops/weather/dt=2013-01-01/A\.CSV can't be read: it is empty: it has 0"):
        read_landed(DROPS, file, b"")
    with pytest.raises(RefusedDrop, match=r"^toy/raw/weather/part-1\.csv can't be read: "):
        read_landed(DROPS, file.model_copy(update={"origin": None}), b"")


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.csv", ".csv"), ("A.CSV.GZ", ".csv.gz"), ("s3://b/x/A.Parquet", ".parquet")]
)
def test_suffix_is_found_in_any_case(name: str, suffix: str) -> None:
    assert format_of(DROPS, name)[1] == suffix


def test_name_of_another_format_is_refused() -> None:
    source = replace(DROPS, formats=(Csv(),))

    with pytest.raises(RefusedDrop, match=r"^a\.json has none of the suffixes \.csv, \.csv\.gz; have its sender"):
        read_drop(source, "a.json", b"{}")
