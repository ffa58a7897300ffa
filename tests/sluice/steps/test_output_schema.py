"""Rows that break the declared schema of a step are quarantined; too many fail the step before it is committed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from tests.draining import workspace_of
from tests.sluice.conftest import Declare
from tests.sluice.lake_contents import manifest_json, put_raw, rows_of
from tests.sluice.toy import EVENTS, MODULES, TOY, message, reading

from sluice.declaration.loading import resolve
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Input, Step
from sluice.errors import DeclarationError, SluiceError
from sluice.lake.store import Lake
from sluice.steps.code import code_fingerprint
from sluice.steps.output_schema import OutputSchema
from sluice.steps.returned import table_of
from sluice.steps.runner import run_step

SCHEMA = """
import pandas as pd
import pandera.pandas as pa

class Levels(pa.DataFrameModel):
    name: str = pa.Field(unique=True)
    level: pd.Int64Dtype = pa.Field(ge=0, le=9, nullable=True)
    kind: str = pa.Field(isin=["tide", "wind"])

    class Config:
        strict = True
        coerce = True
"""
GOOD = {"name": "a", "level": 1, "kind": "tide"}


def pipeline_of(
    declare: Declare, rows: list[dict[str, Any]], most_rejected: float = 1.0, schema: str = SCHEMA
) -> Pipeline:
    code = f"import pandas as pd\ndef own(conform): return pd.DataFrame({rows!r})\n"
    declare("toy", {**MODULES, "steps": code, "schemas": schema})
    step = Step("own", run="steps:own", reads=(Input("conform"),), output="schemas:Levels", most_rejected=most_rejected)
    return Pipeline("toy", "day", TOY.start, TOY.sources, (TOY.steps[0], step))


def run(lake: Lake, pipeline: Pipeline) -> list[dict[str, Any]]:
    put_raw(lake, EVENTS, "2013-01-01", [message(reading("r", "2013-01-01T00:00:00Z"))])
    for name in ("conform", "own"):
        run_step(workspace_of(lake, pipeline), name, "dt=2013-01-01")
    return rows_of(lake, "own", "dt=2013-01-01")


def test_rows_that_break_the_schema_are_quarantined_by_reason(lake: Lake, declare: Declare) -> None:
    rows = [
        GOOD,
        GOOD | {"name": "b", "level": 10},
        GOOD | {"name": "c", "level": None},
        GOOD | {"name": "d", "kind": "rain"},
        GOOD | {"name": "e", "level": "high"},
        GOOD | {"name": "f"},
        GOOD | {"name": "f"},
        GOOD | {"name": None},
    ]

    kept = run(lake, pipeline_of(declare, rows))

    assert kept == [GOOD, GOOD | {"name": "c", "level": None}]
    manifest = manifest_json(lake, "own", "dt=2013-01-01")
    assert manifest["rows_out"] == 2
    assert sum(manifest["rejected"].values()) == 6
    quarantined = rows_of(lake, "own", "dt=2013-01-01", files="quarantined")
    assert [(row["name"], row["level"]) for row in quarantined][:3] == [("b", "10"), ("d", "1"), ("e", "high")]
    reasons = [row["reason"].partition("(")[0] for row in quarantined]
    assert reasons[:3] == ["level: less_than_or_equal_to", "kind: isin", "level: coerce_dtype"]
    assert reasons[3:] == ["name: field_uniqueness", "name: field_uniqueness", "name: not_nullable"]


@pytest.mark.parametrize(("most", "fails"), [(0.0, True), (0.24, True), (0.25, False)])
def test_more_than_the_share_fails_the_step_before_its_manifest(
    lake: Lake, declare: Declare, most: float, fails: bool
) -> None:
    pipeline = pipeline_of(declare, [GOOD | {"name": str(n), "level": 7 + n} for n in range(4)], most_rejected=most)
    if not fails:
        assert len(run(lake, pipeline)) == 3
        return

    with pytest.raises(SluiceError) as error:
        run(lake, pipeline)

    assert lake.partitions("own") == []
    assert "step 'own' of toy on dt=2013-01-01" in str(error.value)
    assert "1 of 4 rows, more than most_rejected=0" in str(error.value)
    assert "level breaks less_than_or_equal_to(9) 1 times, such as 10;" in str(error.value)


def test_failure_has_three_examples_of_each_rule(lake: Lake, declare: Declare) -> None:
    rows = [GOOD | {"name": str(n), "level": 10 + n, "kind": "x" * 100} for n in range(5)]

    with pytest.raises(
        SluiceError, match=r"level breaks less.*\(9\) 5 times, such as 10, 11, 12; kind breaks"
    ) as error:
        run(lake, pipeline_of(declare, rows, most_rejected=0.01))

    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"name": "a", "level": 1}], "Levels breaks column_in_dataframe 1 times, such as 'kind'"),
        ([GOOD | {"more": 1}], "Levels breaks column_in_schema 1 times, such as 'more'"),
    ],
)
def test_columns_that_break_the_schema_fail_the_step(
    lake: Lake, declare: Declare, rows: list[dict[str, Any]], what: str
) -> None:
    with pytest.raises(SluiceError, match=f"breaks its output schema in the rows as a whole: .*{what}"):
        run(lake, pipeline_of(declare, rows))


def test_types_are_those_of_the_schema_whatever_the_rows(declare: Declare) -> None:
    schema = OutputSchema("step", "schemas:Levels", resolve(pipeline_of(declare, []), "schemas:Levels"))
    empty = pd.DataFrame({"name": [], "level": [], "kind": []})

    tables = [table_of("step", schema.check(rows, 0).rows) for rows in (empty, pd.DataFrame([GOOD]))]

    assert tables[0].schema.types == tables[1].schema.types == [pa.large_string(), pa.int64(), pa.large_string()]


def test_schema_is_part_of_the_code(declare: Declare) -> None:
    pipeline = pipeline_of(declare, [])
    before = code_fingerprint(pipeline, pipeline.steps[1])
    assert code_fingerprint(pipeline_of(declare, [], schema=SCHEMA + "# more"), pipeline.steps[1]) != before


def test_schema_of_another_kind_is_refused(lake: Lake, declare: Declare) -> None:
    with pytest.raises(DeclarationError, match="'schemas:Levels', which is no DataFrameModel or DataFrameSchema of"):
        run(lake, pipeline_of(declare, [], schema="Levels = dict"))


@pytest.mark.parametrize("most", [-0.1, 1.1, True, "1%"])
def test_share_that_is_none_is_refused(most: Any) -> None:
    with pytest.raises(DeclarationError, match=r"step own: most_rejected=.* must be a number from 0 to 1"):
        Step("own", run="steps:own", reads=(Input("conform"),), output="schemas:Levels", most_rejected=most)
