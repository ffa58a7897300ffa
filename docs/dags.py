"""Writes DAGS.md: each kind of DAG as Airflow's own DagBag has it, for the pipeline of ``docs/example``.

The page does not depend on the pipelines that exist. `make docs` writes it; `--check` fails if it differs.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from generated import write_or_compare

_ROOT = Path(__file__).resolve().parents[1]
_PAGE = _ROOT / "DAGS.md"
_EXAMPLE = "example"

_HEAD = """# The DAGs

<!-- `make docs` writes this page from the DAG files. -->

Every pipeline has these DAGs. The page shows those of [an example](docs/example/pipelines/example/pipeline.py), which
declares a FIFO queue `events`, a stream `stream`, drops `weather`, and the steps `conform` and `features`; `<pipeline>`
is its name. A pipeline has an ingest DAG for each source of events that it declares. Airflow's web UI shows the
whole documentation of a DAG on its page.
"""


def _page() -> str:
    sections = [_section(dag) for dag in sorted(_dags(), key=lambda dag: str(dag.dag_id))]
    return "\n".join([_HEAD, *sections])


def _dags() -> Iterable[Any]:
    """Return the DAGs of the example, as Airflow loads them with an empty home folder."""
    sys.path[:0] = [str(_ROOT / "docs" / "example"), str(_ROOT / "include"), str(_ROOT / "plugins")]
    with tempfile.TemporaryDirectory(prefix="sluice-docs-") as home:
        os.environ.update(AIRFLOW_HOME=home, AIRFLOW__LOGGING__LOGGING_LEVEL="WARN")
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(_ROOT / "dags")
        if bag.import_errors:
            raise SystemExit(f"the DAG files can't be loaded: {bag.import_errors}")
        return bag.dags.values()


def _section(dag: Any) -> str:
    """Return heading, purpose, schedule, params and tasks of one DAG."""
    kind = str(dag.dag_id).removeprefix(_EXAMPLE)
    rows = [_param(name, dag.params.get_param(name)) for name in dag.params]
    params = ["| param | type | default | |", "|---|---|---|---|", *rows, ""] if rows else []
    return "\n".join(
        [
            f"## `<pipeline>{kind}`",
            "",
            _summary(dag.doc_md).replace(f"{_EXAMPLE}/", "<pipeline>/"),
            "",
            f"**Schedule:** {_schedule(dag)}. **Runs at once:** {dag.max_active_runs}.",
            "",
            *params,
            f"**Tasks:** {', '.join(f'`{task.task_id}`' for task in dag.topological_sort())}",
            "",
        ]
    )


def _summary(doc: str) -> str:
    """Return the first two blocks of the documentation below its heading: the purpose, and the table of in and out."""
    blocks = [block.strip() for block in doc.split("\n\n") if not block.strip().startswith("#")]
    return "\n\n".join(blocks[:2])


def _schedule(dag: Any) -> str:
    if dag.schedule is None:
        return "by hand"
    if isinstance(dag.schedule, list):
        return "after " + ", ".join(f"`<pipeline>{asset.name.removeprefix(_EXAMPLE)}`" for asset in dag.schedule)
    if isinstance(dag.schedule, timedelta):
        return f"all the time, {dag.schedule.seconds} seconds apart at least"
    return f"`{dag.schedule}`" if isinstance(dag.schedule, str) else str(dag.schedule.summary)


def _param(name: str, param: Any) -> str:
    schema = param.schema
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    shown = " or ".join(f"`{value}`" for value in schema.get("enum", [])) or ", ".join(k for k in kinds if k != "null")
    default = "" if param.value is None else f"`{json.dumps(param.value)}`"
    return f"| `{name}` | {shown} | {default} | {param.description} |"


if __name__ == "__main__":
    sys.exit(write_or_compare(_PAGE, _page(), sys.argv[1:]))
