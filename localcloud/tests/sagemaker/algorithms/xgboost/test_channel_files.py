"""What becomes of the files of a channel, by their kind and the content type: the table of docs/channels.md."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.sagemaker.algorithms.xgboost.jobs import FEATURES, LABELS, csv, prepared

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.jobs.child import AlgorithmError, UserError

ROWS = 30
JSON = b'{"added": ["part-0"], "removed": []}\n'


def _libsvm(labels: Any, features: Any) -> bytes:
    rows = zip(labels, features, strict=True)
    lines = (f"{label:g} " + " ".join(f"{n}:{value:g}" for n, value in enumerate(row)) for label, row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def _parquet(labels: Any, features: Any) -> bytes:
    columns = {"label": labels, **{f"x{n}": column for n, column in enumerate(features.T)}}
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), file)
    return file.getvalue()


ENCODE: Mapping[str, Callable[[Any, Any], bytes]] = {
    "text/csv": lambda labels, features: csv(labels, features).encode(),
    "text/libsvm": _libsvm,
    "application/x-parquet": _parquet,
    "application/x-recordio-protobuf": lambda labels, features: recordio.encode(features, labels),
}
FORMATS = list(ENCODE)
CSV, LIBSVM, PARQUET, RECORDIO = FORMATS


def part(content_type: str, number: int = 0) -> bytes:
    """Return the rows of a file; two files have different rows."""
    rows = slice(number * ROWS, (number + 1) * ROWS)
    return ENCODE[content_type](LABELS[rows], FEATURES[rows])


def rows_read(root: Path, content_type: str, files: Mapping[str, bytes], caplog: pytest.LogCaptureFixture) -> int:
    """Return how many rows a job trains on if its channel has these files."""
    with caplog.at_level(logging.INFO):
        prepared(root, {"objective": "binary:logistic"}, {"train": files}, content_type).run()
    [line] = [each for each in caplog.messages if each.startswith("The train matrix has ")]
    return int(line.split()[4])


def refusal(root: Path, content_type: str, files: Mapping[str, bytes]) -> str:
    """Return the user error of a job whose channel has these files."""
    with pytest.raises(UserError) as refused:
        prepared(root, {"objective": "binary:logistic"}, {"train": files}, content_type).run()
    return str(refused.value)


@pytest.mark.parametrize("content_type", FORMATS)
@pytest.mark.parametrize("name", [".part.crc", "more/.part.crc", "a/b/c/d/.deep"])
def test_a_hidden_file_is_refused_in_every_folder(tmp_path: Path, content_type: str, name: str) -> None:
    files = {"part-0": part(content_type), name: b""}
    assert refusal(tmp_path, content_type, files) == (
        "Hidden file found in the data path! Remove that before training."
    )


@pytest.mark.parametrize("content_type", FORMATS)
@pytest.mark.parametrize("folder", [".checkpoints", "_temporary"])
def test_a_file_in_a_folder_of_bookkeeping_is_data(
    tmp_path: Path, content_type: str, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"part-0": part(content_type), f"{folder}/part-1": part(content_type, 1)}
    assert rows_read(tmp_path, content_type, files, caplog) == 2 * ROWS


@pytest.mark.parametrize("content_type", [LIBSVM, PARQUET, RECORDIO])
def test_an_empty_marker_is_ignored(tmp_path: Path, content_type: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {"_SUCCESS": b"", "part-0": part(content_type)}
    assert rows_read(tmp_path, content_type, files, caplog) == ROWS


@pytest.mark.parametrize("data", ["part-0", "PART-0"])  # after the marker in order, and before it
def test_an_empty_marker_beside_csv_is_refused(tmp_path: Path, data: str) -> None:
    message = refusal(tmp_path, CSV, {"_SUCCESS": b"", data: part(CSV)})
    assert message.startswith("Could not determine delimiter on line :\n")
    assert "_SUCCESS" in message


def test_a_marker_with_content_is_rows_of_csv(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"_committed": b"1,0.5,0.5,0.5\n", "part-0": part(CSV)}
    assert rows_read(tmp_path, CSV, files, caplog) == ROWS + 1
    assert "_committed is read as ROWS OF DATA" in caplog.text


def test_a_marker_with_content_is_rows_of_libsvm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"_committed": b"done\n", "part-0": part(LIBSVM)}
    assert rows_read(tmp_path, LIBSVM, files, caplog) == ROWS + 1
    assert "_committed is read as ROWS OF DATA" in caplog.text


@pytest.mark.parametrize(("content_type", "kind"), [(CSV, "csv"), (LIBSVM, "libsvm")])
def test_a_marker_that_is_no_row_fails_the_job(tmp_path: Path, content_type: str, kind: str) -> None:
    marker = b"done,\n,x\ny\n" if content_type == CSV else JSON
    message = refusal(tmp_path, content_type, {"_committed": marker, "part-0": part(content_type)})
    assert message.startswith(f"Failed to load {kind} data with exception:\n")


@pytest.mark.parametrize("content_type", [PARQUET, RECORDIO])
def test_a_marker_with_content_is_ignored(tmp_path: Path, content_type: str, caplog: pytest.LogCaptureFixture) -> None:
    files = {"_committed": JSON, "part-0": part(content_type)}
    assert rows_read(tmp_path, content_type, files, caplog) == ROWS
    assert "ROWS OF DATA" not in caplog.text


@pytest.mark.parametrize("content_type", FORMATS)
def test_only_markers_with_content_are_no_data(tmp_path: Path, content_type: str) -> None:
    """CSV and libsvm read them, but their content has no rows."""
    expected = {
        CSV: "Failed to load csv data with exception:\n",
        LIBSVM: "Failed to load libsvm data with exception:\n",
        PARQUET: "Failed to load parquet data with exception:\n",
        RECORDIO: "No data in training channel path /opt/ml/input/data/train",
    }
    marker = b"done,\n,x\ny\n" if content_type == CSV else JSON
    assert refusal(tmp_path, content_type, {"_committed": marker}).startswith(expected[content_type])


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        (CSV, "Could not determine delimiter on line :\n"),
        (PARQUET, "Failed to load parquet data with exception:\n"),
    ],
)
@pytest.mark.parametrize("name", ["part-1", "more/part-1"])
def test_an_empty_data_file_is_refused(tmp_path: Path, content_type: str, message: str, name: str) -> None:
    assert refusal(tmp_path, content_type, {"part-0": part(content_type), name: b""}).startswith(message)


@pytest.mark.parametrize("content_type", [LIBSVM, RECORDIO])
@pytest.mark.parametrize("name", ["part-1", "more/part-1"])
def test_an_empty_data_file_has_no_rows(
    tmp_path: Path, content_type: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"part-0": part(content_type), name: b""}
    assert rows_read(tmp_path, content_type, files, caplog) == ROWS


@pytest.mark.parametrize("content_type", FORMATS)
def test_a_channel_of_empty_files_has_no_data(tmp_path: Path, content_type: str) -> None:
    assert refusal(tmp_path, content_type, {"_SUCCESS": b"", "part-0": b""}) == (
        "No data in training channel path /opt/ml/input/data/train"
    )


@pytest.mark.parametrize("content_type", FORMATS)
def test_sub_folders_are_read_to_the_third_level(
    tmp_path: Path, content_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"part": part(content_type), "a/b/part": part(content_type, 1)}
    assert rows_read(tmp_path, content_type, files, caplog) == 2 * ROWS


@pytest.mark.parametrize("content_type", FORMATS)
def test_the_first_folder_that_is_too_deep_ends_the_reading(
    tmp_path: Path, content_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Files that the container would list after it are not loaded either: here the folder ``z``."""
    files = {"part": part(content_type), "a/b/c/part": part(content_type, 1), "z/part": part(content_type, 1)}
    assert rows_read(tmp_path, content_type, files, caplog) == ROWS
    assert "2 of the channel's 3 files aren't loaded" in caplog.text


@pytest.mark.parametrize("content_type", FORMATS)
def test_a_channel_that_is_too_deep_as_a_whole_fails_the_job(tmp_path: Path, content_type: str) -> None:
    job = prepared(tmp_path, {}, {"train": {"a/b/c/part": part(content_type)}}, content_type)
    with pytest.raises(AlgorithmError if content_type == CSV else UserError):
        job.run()


def test_csv_whose_files_have_different_delimiters_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, CSV, {"a": part(CSV), "b": part(CSV, 1).replace(b",", b";")})
    assert message.startswith("The files of the channel have different delimiters: ',' in a, ';' in b.")


@pytest.mark.parametrize("content_type", FORMATS)
def test_files_of_one_name_in_several_folders_all_count(
    tmp_path: Path, content_type: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert np.unique(LABELS[:ROWS]).size == 2
    files = {f"{folder}/part": part(content_type) for folder in "abc"}
    assert rows_read(tmp_path, content_type, files, caplog) == 3 * ROWS
