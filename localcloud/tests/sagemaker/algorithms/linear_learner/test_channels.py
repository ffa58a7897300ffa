"""Channels: which are allowed, how their files become tables, and the messages for those that can't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sagemaker.algorithms.linear_learner.learning import Table

from localcloud.sagemaker.algorithms import recordio
from localcloud.sagemaker.algorithms.linear_learner import channels
from localcloud.sagemaker.algorithms.linear_learner.channels import CSV, RECORDIO, Channel
from localcloud.sagemaker.algorithms.linear_learner.hyperparameters import Hyperparameters, validate
from localcloud.sagemaker.jobs.child import UserError

FILE = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
INVALID = "Unable to initialize the algorithm. Failed to validate input data configuration. (caused by ValidationError)"


def values(kind: str = "regressor", **given: str) -> Hyperparameters:
    return validate({"predictor_type": kind, "num_classes": "3", **given})


def read(folder: Path, content_type: str = CSV, kind: str = "regressor", channel: str = "train", **given: str) -> Table:
    return channels.read(Channel(channel, folder, content_type), values(kind, **given))


def refusal(folder: Path, content_type: str = CSV, kind: str = "regressor", **given: str) -> str:
    with pytest.raises(UserError) as refused:
        read(folder, content_type, kind, **given)
    return str(refused.value)


def written(folder: Path, content: bytes | str, name: str = "part-0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


# The allowed channels.


def test_channels_are_read_in_their_order_and_recordio_is_the_default() -> None:
    given = {"test": FILE, "train": FILE | {"ContentType": "text/csv"}, "validation": FILE}
    assert channels.validate(given, Path) == [
        Channel("train", Path("train"), "text/csv"),
        Channel("validation", Path("validation"), "application/x-recordio-protobuf"),
        Channel("test", Path("test"), "application/x-recordio-protobuf"),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"validation": FILE}, f"{INVALID}\n\nCaused by: 'train' is a required property"),
        (
            {"train": FILE, "evaluation": FILE},
            f"{INVALID}\n\nCaused by: Additional properties are not allowed ('evaluation' was unexpected)",
        ),
        (
            {"train": FILE, "validation": FILE | {"S3DistributionType": "ShardedByS3Key"}},
            f"{INVALID}\n\nCaused by: 'ShardedByS3Key' is not one of ['FullyReplicated'] (channel 'validation')",
        ),
        (
            {"train": FILE | {"TrainingInputMode": "Pipe"}},
            "Channel 'train': this stand-in has no Pipe mode. Use File or FastFile.",
        ),
    ],
)
def test_other_channels_are_refused(given: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(UserError) as refused:
        channels.validate(given, Path)
    assert str(refused.value) == message


def test_training_data_may_be_sharded() -> None:
    assert channels.validate({"train": FILE | {"S3DistributionType": "ShardedByS3Key"}}, Path)


@pytest.mark.parametrize("content_type", ["csv", "text/libsvm", "application/x-parquet", "application/json", ""])
def test_other_content_types_are_refused(tmp_path: Path, content_type: str) -> None:
    written(tmp_path, "1,2\n")
    assert (
        refusal(tmp_path, content_type) == f"No iterator has been registered for ContentType ({content_type!r}, '1.0')"
    )


def test_each_row_has_one_label(tmp_path: Path) -> None:
    written(tmp_path, "1,2\n")
    assert read(tmp_path, "text/csv;label_size=1").labels.tolist() == [1]
    assert "label_size" in refusal(tmp_path, "text/csv;label_size=0")
    assert "label_size" in refusal(tmp_path, "text/csv; label_size=2")


# CSV.


def test_csv_has_the_label_first(tmp_path: Path) -> None:
    table = read(written(tmp_path, '1.5,2,-3e2\r\n\n 4 ,"5",.5'))
    assert table.labels.tolist() == [1.5, 4]
    assert table.features.tolist() == [[2, -300], [5, 0.5]]
    assert table.features.dtype == table.labels.dtype == np.float32


def test_all_files_of_all_folders_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    written(tmp_path, "2,2\n", "b")
    written(tmp_path, "1,1\n", "a")
    written(tmp_path / "deep/er", "3,3\n", "c")
    written(tmp_path, "", "_SUCCESS")
    assert read(tmp_path).labels.tolist() == [1, 2, 3]


def test_a_long_file_is_read_whole_and_in_order(tmp_path: Path) -> None:
    rows = np.arange(300_000)
    written(tmp_path, "".join(f"{row},{row % 7},{row}.5\n" for row in rows))
    table = read(tmp_path)
    assert (table.labels == rows).all()
    assert (table.features[:, 0] == rows % 7).all()


def test_a_line_may_be_long(tmp_path: Path) -> None:
    cell = "1." + "0" * 10_000
    written(tmp_path, "\n".join(",".join([cell] * 3_000) for _ in range(2)))
    assert read(tmp_path).features.shape == (2, 2_999)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3\n4,,6\n", "rows 1-1000, file {path}: row 2: CSV conversion error to float: invalid value ''"),
        ("1,2,3\n4,x,6\n", "rows 1-1000, file {path}: row 2: CSV conversion error to float: invalid value 'x'"),
        ("y,a,b\n1,2,3\n", "rows 1-1000, file {path}: row 1: CSV conversion error to float: invalid value 'y'"),
        ("1,2,3\n4,5\n", "rows 1-1000, file {path}: row 2: Expected 3 columns, got 2: 4,5"),
        ("1,2\n" * 1500 + "1\n", "rows 1001-2000, file {path}: row 1501: Expected 2 columns, got 1: 1"),
        ("1;2;3\n", "rows 1-1000, file {path}: a row has 1 column, where a label and features should be"),
        (" \n\n", "rows 1-1000, file {path}: a row has 1 column, where a label and features should be"),
        (b"1,2\n\x00\xff,2\n", "rows 1-1000, file {path}: row 2: CSV conversion error to float: invalid value '\x00ÿ'"),
    ],
)
def test_an_error_names_the_rows_of_damaged_csv(tmp_path: Path, content: bytes | str, message: str) -> None:
    written(tmp_path, content)
    assert refusal(tmp_path) == f"Unable to parse csv: {message.format(path=tmp_path / 'part-0')}"


def test_the_files_must_agree_on_their_features(tmp_path: Path) -> None:
    written(tmp_path, "1,2\n", "a")
    written(tmp_path, "1,2,3\n", "b")
    assert refusal(tmp_path) == (
        f"The files differ in their number of features: {tmp_path / 'a'} has 1, {tmp_path / 'b'} has 2"
    )


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b"]])
def test_an_empty_channel_is_an_error(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        written(tmp_path, "", name)
    assert refusal(tmp_path).startswith(
        "No training data processed. Either the training channel is empty or the mini-batch size is too high."
    )
    with pytest.raises(UserError, match="No validation data processed: the validation channel is empty"):
        read(tmp_path, channel="validation")


# recordio-protobuf.

FEATURES = np.array([[1.5, 0, 2], [0, 0, 3], [0, 0, 0]], np.float32)
LABELS = np.array([1, 0, 2.5], np.float32)


def test_dense_records_are_read(tmp_path: Path) -> None:
    table = read(written(tmp_path, recordio.encode(FEATURES, LABELS)), RECORDIO)
    assert table.features.tolist() == FEATURES.tolist()
    assert table.labels.tolist() == LABELS.tolist()


def test_sparse_records_stay_sparse_and_dense_files_join_them(tmp_path: Path) -> None:
    written(tmp_path, recordio.encode(FEATURES, LABELS), "a")
    written(tmp_path, recordio.encode(scipy.sparse.csr_matrix(FEATURES), LABELS), "b")
    table = read(tmp_path, RECORDIO)
    assert table.sparse
    assert table.features.toarray().tolist() == [*FEATURES.tolist(), *FEATURES.tolist()]
    assert table.labels.tolist() == [*LABELS.tolist(), *LABELS.tolist()]


def test_each_record_needs_a_label(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, recordio.encode(FEATURES)), RECORDIO)
    assert message.endswith("each record needs one label; there are 0 labels for 3 records")
    some = recordio.encode(FEATURES, LABELS) + recordio.encode(FEATURES)
    assert refusal(written(tmp_path, some), RECORDIO).endswith("there are 3 labels for 6 records")


def test_damaged_records_are_an_error(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, recordio.encode(FEATURES, LABELS)[:-1]), RECORDIO)
    assert message.startswith(f"Unable to read recordio-protobuf, file {tmp_path / 'part-0'}: ")
    assert "Invalid RecordIO magic" in refusal(written(tmp_path, "1,2,3\n4,5,6\n"), RECORDIO)


# Data that can't be learnt from.


@pytest.mark.parametrize(("cell", "shown"), [("nan", "nan"), ("inf", "inf"), ("-inf", "-inf"), ("1e39", "inf")])
def test_features_must_be_finite(tmp_path: Path, cell: str, shown: str) -> None:
    written(tmp_path, f"1,2,3\n0,5,{cell}\n")
    assert refusal(tmp_path) == (
        f"The train data has the value {shown} in row 2, feature 1: features must be finite numbers. "
        "Fill in missing values before training."
    )


def test_features_of_sparse_rows_must_be_finite(tmp_path: Path) -> None:
    rows = scipy.sparse.csr_matrix(np.array([[0, 1, 0], [0, 0, np.inf]], np.float32))
    message = refusal(written(tmp_path, recordio.encode(rows, np.array([1.0, 2.0]))), RECORDIO)
    assert message.startswith("The train data has the value inf in row 2, feature 2: ")


@pytest.mark.parametrize(
    ("kind", "label", "message"),
    [
        ("regressor", "nan", "the label nan in row 2: labels of a regressor must be finite numbers."),
        ("regressor", "inf", "the label inf in row 2: labels of a regressor must be finite numbers."),
        (
            "binary_classifier",
            "2",
            "the label 2.0 in row 2: labels of a binary_classifier must be integers from 0 to 1.",
        ),
        (
            "binary_classifier",
            "-1",
            "the label -1.0 in row 2: labels of a binary_classifier must be integers from 0 to 1.",
        ),
        ("binary_classifier", "0.5", "the label 0.5 in row 2: labels of a binary_classifier must be"),
        ("binary_classifier", "nan", "the label nan in row 2: labels of a binary_classifier must be"),
        (
            "multiclass_classifier",
            "3",
            "the label 3.0 in row 2: labels of a multiclass_classifier must be integers from 0 to 2.",
        ),
    ],
)
def test_labels_must_be_of_their_kind(tmp_path: Path, kind: str, label: str, message: str) -> None:
    assert f"The train data has {message}" in refusal(written(tmp_path, f"1,2\n{label},3\n0,4\n"), kind=kind)


@pytest.mark.parametrize("kind", ["binary_classifier", "multiclass_classifier"])
def test_one_class_alone_is_refused(tmp_path: Path, kind: str) -> None:
    written(tmp_path, "1,2\n1,3\n")
    assert refusal(tmp_path, kind=kind) == (
        f"The train data has labels of one class only (1): a {kind} can't be trained on it."
    )
    assert read(tmp_path, kind=kind, channel="validation").rows == 2
    assert read(tmp_path, kind="regressor").rows == 2


def test_the_number_of_features_must_be_feature_dim(tmp_path: Path) -> None:
    written(tmp_path, "1,2,3\n")
    assert read(tmp_path, feature_dim="2").feature_dim == 2
    assert refusal(tmp_path, feature_dim="3") == (
        "The train data has 2 features, but the hyperparameter feature_dim is 3"
    )


# Any content of the files is rows or a user error.

CELLS = st.sampled_from(["1", "0", "-2.5", "1e300", "nan", "inf", "", " ", "x", '"', '"1"', "1 2", "é", "\x00", "1_0"])


@settings(max_examples=300)
@given(
    content=st.binary(max_size=200)
    | st.lists(st.lists(CELLS, max_size=4).map(",".join), max_size=6).map("\n".join).map(str.encode),
    content_type=st.sampled_from([CSV, RECORDIO]),
)
def test_any_csv_or_recordio_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, content_type: str
) -> None:
    folder = written(tmp_path_factory.mktemp("fuzz"), content)
    try:
        table = read(folder, content_type)
    except UserError:
        return
    assert table.rows == len(table.labels) > 0
    assert np.isfinite(table.features if not table.sparse else table.features.data).all()


@settings(max_examples=200)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_recordio_with_a_changed_byte_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    for rows in (FEATURES, scipy.sparse.csr_matrix(FEATURES)):
        content = bytearray(recordio.encode(rows, LABELS))
        content[place % len(content)] = value
        try:
            read(written(tmp_path_factory.mktemp("fuzz"), bytes(content)), RECORDIO)
        except UserError:
            continue
