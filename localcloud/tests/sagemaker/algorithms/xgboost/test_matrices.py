"""How the files of channels become matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import xgboost

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.xgboost import matrices
from localcloud.sagemaker.jobs.child import UserError


def test_csv_has_the_label_first_and_weights_second(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.csv").write_text("1;2.5;10;20\n0;0.5;;40\n")
    matrix = matrices.read([tmp_path / "data"], "csv", weighted=True, scratch=tmp_path / "scratch")
    assert matrix.get_label().tolist() == [1.0, 0.0]
    assert matrix.get_weight().tolist() == [2.5, 0.5]
    assert (matrix.num_row(), matrix.num_col()) == (2, 2)


def test_files_of_the_same_name_in_sub_folders_are_all_read_to_depth_3(tmp_path: Path) -> None:
    for depth, folder in enumerate(("", "one", "one/two", "one/two/three")):
        (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / folder / "part.csv").write_text(f"{depth},1,2\n")
    matrix = matrices.read([tmp_path / "data"], "csv", weighted=False, scratch=tmp_path / "scratch")
    assert sorted(matrix.get_label().tolist()) == [0.0, 1.0, 2.0]


def test_libsvm_has_weights_beside_the_label(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.libsvm").write_text("1:0.5 0:1 2:3\n0:2 1:4\n")
    matrix = matrices.read([tmp_path / "data"], "libsvm", weighted=False, scratch=tmp_path / "scratch")
    assert matrix.get_label().tolist() == [1.0, 0.0]
    assert matrix.get_weight().tolist() == [0.5, 2.0]
    assert matrix.num_col() == 3


def test_libsvm_has_groups(tmp_path: Path) -> None:
    """The rows of a group are those of one ``qid`` that follow each other, also from one file to the next."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.libsvm").write_text("3 qid:7 0:1\n1 qid:7 0:2\n0 qid:2 0:3\n0 qid:7 0:4\n")
    (tmp_path / "data/b.libsvm").write_text("1 qid:7 0:5\n0 qid:9 0:6\n")
    matrix = matrices.read([tmp_path / "data"], "libsvm", weighted=False, scratch=tmp_path / "scratch")
    assert matrix.get_label().tolist() == [3.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    assert matrix.get_uint_info("group_ptr").tolist() == [0, 2, 3, 5, 6]


def test_parquet_has_the_label_first(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = pa.table({"label": [1, 0], "x": [1.5, None], "y": [3.0, 4.0]})
    pyarrow.parquet.write_table(table, tmp_path / "data/a.parquet")
    matrix = matrices.read([tmp_path / "data"], "parquet", weighted=False, scratch=tmp_path / "scratch")
    assert matrix.get_label().tolist() == [1.0, 0.0]
    assert np.isnan(matrix.get_data().toarray()).sum() == 0
    assert (matrix.num_row(), matrix.num_col(), matrix.num_nonmissing()) == (2, 2, 3)


def read(folder: Path, format_: str, *, weighted: bool = False) -> xgboost.DMatrix:
    matrix = matrices.read([folder], format_, weighted=weighted, scratch=folder.parent / "scratch")
    assert matrix is not None
    return matrix


def test_an_index_that_pandas_has_written_is_no_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"label": [1, 0], "x": [1.5, 2.5]}, index=pd.Index(["b", "a"]))
    (tmp_path / "data").mkdir()
    frame.to_parquet(tmp_path / "data/a.parquet")

    matrix = read(tmp_path / "data", "parquet")

    assert matrix.get_label().tolist() == [1.0, 0.0]
    assert matrix.get_data().toarray().tolist() == [[1.5], [2.5]]


def test_markers_beside_parquet_files_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pyarrow.parquet.write_table(pa.table({"label": [1, 0], "x": [True, False]}), tmp_path / "data/a.parquet")
    (tmp_path / "data/_SUCCESS").write_bytes(b"")
    assert read(tmp_path / "data", "parquet").get_label().tolist() == [1.0, 0.0]


def test_files_of_markers_only_are_no_data_as_recordio(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/_SUCCESS").write_bytes(b"x")
    assert matrices.read([tmp_path / "data"], "recordio-protobuf", weighted=False, scratch=tmp_path / "s") is None


@pytest.mark.parametrize(
    ("format_", "content", "message"),
    [
        ("parquet", b"PAR", "Failed to load parquet data with exception:\n"),
        ("recordio-protobuf", b"PAR", "Failed to load recordio-protobuf data with exception:\n"),
        ("recordio-protobuf", b"12345678", "Invalid RecordIO magic at offset 0"),
        ("recordio-protobuf", recordio.encode(np.ones((2, 2))), "Got input data without labels."),
    ],
)
def test_an_unreadable_file_is_a_user_error(tmp_path: Path, format_: str, content: bytes, message: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_bytes(content)
    with pytest.raises(UserError) as failed:
        read(tmp_path / "data", format_)
    assert message in str(failed.value)
    assert "Stack trace" not in str(failed.value)
