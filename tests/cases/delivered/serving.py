"""Sends rows of features to an endpoint as the probe of a deployment does."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from sluice.dataset.formats.csv import csv_rows
from sluice.serving.probe import calls_of
from tests.cases.case import Case

_LIMIT = 6 * 1024**2  # bytes of a request (SageMaker API reference, InvokeEndpoint)


def check(case: Case, request: pytest.FixtureRequest) -> None:
    rows = list(csv_rows(features(case)))
    requests = ["\n".join(each) for each in calls_of(rows)]
    assert max(len(body.encode()) for body in requests) <= case.given.get("limit_bytes", _LIMIT)
    assert [line for body in requests for line in body.splitlines()] == rows
    assert all(rows)
    assert len(rows) == case.right.get("answers", case.given.get("validation_rows"))


def features(case: Case) -> pd.DataFrame:
    if "rows_file" in case.given:
        lines = csv.reader(io.StringIO(case.read(case.given["rows_file"]).decode()))
        return pd.DataFrame([[float(value or "nan") for value in line[1:]] for line in lines])
    rows, columns = np.indices((case.given["validation_rows"], case.given["features"]))
    return pd.DataFrame((rows * 7919 + columns * 104729) % 1000003 / 1000003)
