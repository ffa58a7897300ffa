"""Takes the partitions of a run that has no logical date from its params, as the first task of the DAG does.

A case without such runs is about those that the dispatch starts, and what they wait for: a module of its own.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

from sluice.errors import SluiceError
from sluice.lake.manifests import Size
from sluice.lake.partitions import Calendar, Partition, requested
from sluice.steps.chunks import chunks_by_size
from tests.calendars import utc_ranges
from tests.cases.case import Case
from tests.cases.delivered import before_first_event, missing_drops
from tests.dags.airflow_home import ROOT


def check(case: Case, request: pytest.FixtureRequest) -> None:
    if "runs" not in case.given:
        of_dispatch = before_first_event if "first_event" in case.given else missing_drops
        of_dispatch.check(case, request)
        return
    dag = DagBag(ROOT / "dags").dags["flights_transform"]
    for run in case.given["runs"]:
        right = case.right["runs"][run["name"]]
        params = {**dag.params.dump(), **conf_of(run)}
        if "error" in right:
            with pytest.raises(SluiceError) as refused:
                requested(Calendar(case.given["pipeline"]["every"]), None, params["from"], params["to"])
            assert all(word in str(refused.value) for word in right["error"]["must_name"])
            continue
        found = requested(Calendar(case.given["pipeline"]["every"]), None, params["from"], params["to"])
        check_partitions(found, right)
        if "limits" in case.right:
            check_chunks(found, case.right["limits"])


def conf_of(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration that a command or a request gives to a run."""
    if "request" in run:
        assert run["request"]["json"]["logical_date"] is None
        conf: Mapping[str, Any] = run["request"]["json"]["conf"]
        return conf
    words = shlex.split(run["command"])
    given: Mapping[str, Any] = json.loads(words[words.index("--conf") + 1]) if "--conf" in words else run["conf"]
    return given


def check_partitions(found: list[Partition], right: Mapping[str, Any]) -> None:
    keys = [partition.key for partition in found]
    if "partitions" in right:
        assert keys == right["partitions"]
    else:
        assert (len(keys), keys[0], keys[-1]) == (right["count"], right["first"], right["last"])
        assert len(set(keys)) == len(keys)


def check_chunks(found: list[Partition], limits: Mapping[str, int]) -> None:
    for size in (Size(), Size(10_000_000, 10_000)):
        chunks = chunks_by_size(dict.fromkeys(found, size))
        assert len(chunks) < limits["mapped_tasks_below"]
        assert len(json.dumps(chunks)) < limits["xcom_bytes_below"]
        assert [partition for chunk in chunks for partition in utc_ranges(chunk)] == found
