"""DataProcessing: the examples of the developer guide, and what isn't supported."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.sagemaker.transform.associations import Association, Path, PathError

RECORD = {"id": 7, "features": [1, 2, 3], "of": {"the day": "monday", "hour": 8}}


def association(
    input_filter: str = "$", output_filter: str = "$", *, joins: bool = False, csv: bool = True
) -> Association:
    return Association(Path.of(input_filter), Path.of(output_filter), joins, csv)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", RECORD),
        ("$.id", 7),
        ("$['id']", 7),
        ("$.features", [1, 2, 3]),
        ("$.features[0]", 1),
        ("$.features[-1]", 3),
        ("$.features[0,-1]", [1, 3]),
        ("$.features[1:]", [2, 3]),
        ("$.features[:2]", [1, 2]),
        ("$.features[-2:]", [2, 3]),
        ("$.features[*]", [1, 2, 3]),
        ("$.of['the day']", "monday"),
        ("$['id','features']", [7, [1, 2, 3]]),
        ("$.of.*", ["monday", 8]),
        ("$.features[5:]", []),
    ],
)
def test_a_path_finds_its_values(path: str, found: Any) -> None:
    assert Path.of(path).find(RECORD) == found


@pytest.mark.parametrize("path", ["", "id", "$..id", "$[?(@.id)]", "$.features[::2]", "$.", "$['id", "$[a]"])
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(PathError):
        Path.of(path)


@pytest.mark.parametrize("path", ["$.nothing", "$.features[9]", "$.id[0]"])
def test_a_path_that_finds_nothing_is_an_error(path: str) -> None:
    with pytest.raises(PathError, match="finds nothing in a record"):
        Path.of(path).find(RECORD)


def test_csv_keeps_the_number_of_a_row_beside_its_score() -> None:
    chosen = association("$[1:]", "$[0,-1]", joins=True)
    assert chosen.sent(b'7,"a,b",2') == b'"a,b",2'
    assert chosen.kept(b'7,"a,b",2', b"0.5") == b"7,0.5"


def test_without_a_filter_a_record_is_sent_unchanged() -> None:
    assert association(joins=True).sent(b'7, "a" ,2') == b'7, "a" ,2'
    assert not association("$[1:]").per_record


def test_an_answer_is_joined_to_an_object_or_beside_another_value() -> None:
    chosen = association("$.features", joins=True, csv=False)
    assert json.loads(chosen.sent(json.dumps(RECORD).encode())) == [1, 2, 3]
    assert json.loads(chosen.kept(b'{"id": 7}', b'{"score": 0.5}')) == {"id": 7, "SageMakerOutput": {"score": 0.5}}
    assert json.loads(chosen.kept(b"[1, 2]", b"0.5")) == {"SageMakerInput": [1, 2], "SageMakerOutput": 0.5}
