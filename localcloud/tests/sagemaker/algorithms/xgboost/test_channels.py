"""Channels: which are allowed, and how their files become matrices."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.sagemaker.algorithms.xgboost import channels
from localcloud.sagemaker.jobs.child import UserError

FILE = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}


def test_libsvm_is_the_default() -> None:
    assert channels.validate({"train": FILE})["train"]["ContentType"] == "text/libsvm"


def test_a_channel_of_code_may_be_unused() -> None:
    assert set(channels.validate({"train": FILE, "code": FILE | {"ContentType": "text/python"}})) == {"train", "code"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": FILE, "code": FILE}, "Channel configuration for 'code' channel is not supported"),
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
def test_other_channels_are_refused(given: dict[str, dict[str, str]], message: str) -> None:
    with pytest.raises(UserError) as refused:
        channels.validate(given)
    assert message in str(refused.value)


def test_a_hidden_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.DS_Store").write_text("")
    with pytest.raises(UserError, match=r"Hidden file found in the data path! Remove that before training\."):
        channels.size(tmp_path)


def test_csv_given_as_libsvm_is_refused_by_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,15.37,22.76,100.2,728.2,0.092,0.1036,0.1122,0.07,1\n")
    with pytest.raises(UserError) as refused:
        channels.check_format(tmp_path, "libsvm")
    assert str(refused.value) == (
        "First line '0,15.37,22.76,100.2,728.2,0.092,0.1036,0.1122,0.07...' of file 'a.csv' is not 'LIBSVM' format. "
        "Please ensure the file is in 'LIBSVM' format."
    )


def test_a_header_row_is_read_as_data_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("label,x,y\n1,2,3\n")
    channels.check_format(tmp_path, "csv")
    assert "a.csv: the first line looks like a header." in caplog.text


@pytest.mark.parametrize(
    ("line", "accepted"),
    [
        ("1 0:1 2:3\n", True),
        ("1:0.5 0:1 2:3\n", True),
        ("1\n", True),
        ("1:2:3 0:1\n", False),
        ("one 0:1\n", False),
        ("1 0:1 2:3 \n", False),
        ("1 0:1:2 2:3\n", False),
        ("1 qid:1 0:1\n", True),
    ],
)
def test_a_line_of_libsvm_is_accepted_or_refused(tmp_path: Path, line: str, accepted: bool) -> None:
    (tmp_path / "a").write_text(line)
    if accepted:
        channels.check_format(tmp_path, "libsvm")
    else:
        with pytest.raises(UserError, match="is not 'LIBSVM' format"):
            channels.check_format(tmp_path, "libsvm")


def test_only_the_first_folder_without_sub_folders_is_checked(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/good").write_text("1 0:1 1:2\n")
    (tmp_path / "a/_SUCCESS").write_text("none")
    (tmp_path / "bad").write_text("a,b\n")
    channels.check_format(tmp_path, "libsvm")
