"""The stand-in's answers are those of the real container's transcripts, case by case."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.golden.__main__ import report
from tests.golden.replay import Result, replay

from localcloud.testing import transcripts
from localcloud.testing.clouds import Cloud

TRANSCRIPTS = Path(__file__).with_name("xgboost")


@pytest.mark.parametrize("folder", transcripts.folders(TRANSCRIPTS), ids=lambda folder: folder.name)
def test_a_case_has_the_recorded_answers(cloud: Cloud, folder: Path) -> None:
    case = transcripts.read(folder)
    results = list(replay(cloud, [folder]))
    assert [result.name for result in results].count(case.name) == 1
    assert len(results) == 1 + len(case.exchanges)
    assert [result for result in results if result.differences and not result.known_defect] == []
    # They are right here, so they differ from the recorded ones.
    assert [result for result in results if result.known_defect and not result.differences] == []


def test_a_difference_is_reported(cloud: Cloud, tmp_path: Path) -> None:
    folder = tmp_path / "cases/changed"
    shutil.copytree(TRANSCRIPTS / "data", tmp_path / "data")
    shutil.copytree(TRANSCRIPTS / "cases/csv_weights", folder)
    changed = json.loads((folder / "case.json").read_text())
    changed["name"] = "changed"
    changed["expect"]["rounds"] += 1
    changed["expect"]["metric_lines"][1] = changed["expect"]["metric_lines"][1].replace("0.", "0.9")
    changed["inference"][0]["response"]["body"] = "0.5\n"
    changed["inference"][1]["response"]["body_salient"] = "another reason"
    (folder / "case.json").write_text(json.dumps(changed))

    job, first, second = replay(cloud, [folder])

    assert [text.splitlines()[0] for text in job.differences] == [
        "--- expected",
        f"rounds: {changed['expect']['rounds']} was expected, {changed['expect']['rounds'] - 1} seen",
    ]
    assert "-" + changed["expect"]["metric_lines"][1] in job.differences[0].splitlines()
    assert "-0.5" in first.differences[0].splitlines()
    assert "'another reason' isn't in " in second.differences[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "case.json can't be read: JSONDecodeError"),
        ('{"format_version": 2}', "format_version is 2; this runner knows 1"),
        ('{"format_version": 1, "expect": {"outcome": "unknown"}}', "outcome is 'unknown'"),
        ('{"format_version": 1}', "KeyError: 'expect'"),
    ],
)
def test_a_case_of_another_format_fails_under_its_name(
    cloud: Cloud, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/case.json").write_text(content)
    [result] = replay(cloud, [tmp_path / "strange"])
    assert result.name == "strange"
    assert message in result.differences[0]


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(transcripts.FormatError, match="holds no transcripts"):
        transcripts.folders(tmp_path)


def test_known_defects_are_printed_apart_and_the_counts_last(capsys: pytest.CaptureFixture[str]) -> None:
    results = [Result("one", False, ()), Result("two", False, ("a\nb",)), Result("three", True, ("c",))]
    assert report(results) == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAILED two",
        "    a",
        "    b",
        "known defect of the container, not counted: three differs here",
        "1 passed, 1 failed",
    ]
    assert report([results[0], results[2]]) == 0
    assert capsys.readouterr().out.endswith("\n1 passed, 0 failed\n")
