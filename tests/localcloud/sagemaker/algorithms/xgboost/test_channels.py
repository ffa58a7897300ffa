"""Channels: which are allowed, and how their files become matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from localcloud.sagemaker.algorithms.xgboost import channels
from localcloud.sagemaker.job_child import UserError

FILE = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}


def test_libsvm_is_the_default() -> None:
    assert channels.validate({"train": FILE})["train"]["ContentType"] == "text/libsvm"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"validation": FILE}, "Missing required channel: train"),
        ({"train": FILE, "test": FILE}, "Extraneous channel found: test"),
        (
            {"train": FILE | {"ContentType": "TEXT/CSV"}},
            "Channel configuration for 'train' channel is not supported: {'TrainingInputMode': 'File', "
            "'S3DistributionType': 'FullyReplicated', 'RecordWrapperType': 'None', 'ContentType': 'TEXT/CSV'}",
        ),
        ({"train": FILE | {"ContentType": "text/csv;label_size=0"}}, "Channel configuration for 'train'"),
        ({"train": FILE | {"TrainingInputMode": "Pipe"}}, "Channel configuration for 'train' channel"),
    ],
)
def test_other_channels_are_refused(given: dict[str, dict[str, str]], told: str) -> None:
    with pytest.raises(UserError) as refused:
        channels.validate(given)
    assert told in str(refused.value)


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
def test_the_format_of_a_content_type(content_type: str | None, expected: str) -> None:
    assert channels.data_format(content_type) == expected


@pytest.mark.parametrize(
    ("content_type", "told"),
    [
        ("application/json", "application/json is not an accepted ContentType: csv, libsvm, parquet"),
        ("text/csv;label_size=0", "Optional parameter label_size must be equal to 1"),
        ("", "is not an accepted ContentType"),
    ],
)
def test_other_content_types_are_refused(content_type: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        channels.data_format(content_type)


def test_a_hidden_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.DS_Store").write_text("")
    with pytest.raises(UserError, match=r"Hidden file found in the data path! Remove that before training\."):
        channels.size(tmp_path)


def test_csv_has_the_label_first_and_weights_second(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.csv").write_text("1;2.5;10;20\n0;0.5;;40\n")
    matrix = channels.matrix([tmp_path / "data"], "csv", weighted=True, scratch=tmp_path / "scratch")
    assert matrix.get_label().tolist() == [1.0, 0.0]
    assert matrix.get_weight().tolist() == [2.5, 0.5]
    assert (matrix.num_row(), matrix.num_col()) == (2, 2)


def test_files_of_the_same_name_in_sub_folders_are_all_read_to_depth_3(tmp_path: Path) -> None:
    for depth, folder in enumerate(("", "one", "one/two", "one/two/three")):
        (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / folder / "part.csv").write_text(f"{depth},1,2\n")
    matrix = channels.matrix([tmp_path / "data"], "csv", weighted=False, scratch=tmp_path / "scratch")
    assert sorted(matrix.get_label().tolist()) == [0.0, 1.0, 2.0]


def test_libsvm_has_weights_beside_the_label(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.libsvm").write_text("1:0.5 0:1 2:3\n0:2 1:4\n")
    matrix = channels.matrix([tmp_path / "data"], "libsvm", weighted=False, scratch=tmp_path / "scratch")
    assert matrix.get_label().tolist() == [1.0, 0.0]
    assert matrix.get_weight().tolist() == [0.5, 2.0]
    assert matrix.num_col() == 3


def test_parquet_has_the_label_first(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = pa.table({"label": [1, 0], "x": [1.5, None], "y": [3.0, 4.0]})
    pyarrow.parquet.write_table(table, tmp_path / "data/a.parquet")
    matrix = channels.matrix([tmp_path / "data"], "parquet", weighted=False, scratch=tmp_path / "scratch")
    assert matrix.get_label().tolist() == [1.0, 0.0]
    assert np.isnan(matrix.get_data().toarray()).sum() == 0
    assert (matrix.num_row(), matrix.num_col(), matrix.num_nonmissing()) == (2, 2, 3)


def test_csv_given_as_libsvm_is_refused_by_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,15.37,22.76,100.2,728.2,0.092,0.1036,0.1122,0.07,1\n")
    with pytest.raises(UserError) as refused:
        channels.check_format(tmp_path, "libsvm")
    assert str(refused.value) == (
        "First line '0,15.37,22.76,100.2,728.2,0.092,0.1036,0.1122,0.07...' of file 'a.csv' is not 'LIBSVM' format. "
        "Please ensure the file is in 'LIBSVM' format."
    )


def test_a_header_row_is_loudly_taken_as_data(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("label,x,y\n1,2,3\n")
    channels.check_format(tmp_path, "csv")
    assert "a.csv: the first line looks like a header." in caplog.text
