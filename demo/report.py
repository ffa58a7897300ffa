"""The report of the demo. Every number is read from the lake, the queue or SageMaker."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.flights import data
from pipelines.flights.events import events_of_days
from sluice.dataset.formats.csv import csv_rows
from sluice.dataset.snapshot import channel_partitions, read_rows, read_snapshot
from sluice.evaluation.verdict import read_verdict
from sluice.lake.layout import raw_dataset
from sluice.lake.look import Look
from sluice.lake.manifests import Manifest
from sluice.lake.partitions import partition_at
from sluice.serving.endpoint import find_endpoint
from sluice.serving.probe import invoke
from sluice.serving.records import DeploymentRecord, deployment_records
from sluice.training.jobs import list_jobs
from sluice.workspace import Workspace

_PREDICTIONS = 10


@dataclass(frozen=True)
class Baseline:
    """How much there was before this run, so that the report can show what the run added."""

    parts: int
    jobs: int

    @classmethod
    def take(cls, workspace: Workspace) -> Baseline:
        """Count the parts and the training jobs that there are."""
        raw = Look(workspace.lake).manifests(raw_dataset("events"))
        return cls(sum(len(manifest.files) for manifest in raw), _jobs(workspace))


def _jobs(workspace: Workspace) -> int:
    return len(list_jobs(workspace, most=100))


def make_report(workspace: Workspace, days: Sequence[date], baseline: Baseline, folder: Path) -> dict[str, Any]:
    """Make the report on some days.

    Args:
        workspace: The workspace of the pipeline that ran.
        days: The days of the demo.
        baseline: What there was before this run.
        folder: Where the completion events of all runs are kept.

    Returns:
        ``parts_written`` and ``jobs_created`` count what this run added. All other numbers are totals.
    """
    raw = _manifests(workspace, raw_dataset("events"), days)
    steps = {step.name: _manifests(workspace, step.name, days) for step in workspace.pipeline.steps}
    deployed = list(deployment_records(workspace.lake).values())[-1]
    verdict = read_verdict(workspace.lake, deployed.verdict)
    endpoint = find_endpoint(workspace, workspace.pipeline.require_deployment().endpoint)
    received = Counter(event["stage"] for event in _received(workspace, folder))
    now = Baseline.take(workspace)
    return {
        "days": len(days),
        "sent": sum(map(len, events_of_days(data.flights(), days).values())),
        "landed": sum(manifest.rows_out for manifest in raw),
        "conformed": sum(manifest.rows_out for manifest in steps["conform"]),
        "rejected": dict(sum((Counter(manifest.rejected) for manifest in steps["conform"]), Counter[str]())),
        "partitions": sum(manifest.state == "closed" for manifest in raw),
        "step_rows": {name: sum(manifest.rows_out for manifest in found) for name, found in steps.items()},
        "completion_events": received.total(),
        "completion_events_by_stage": dict(received),
        "parts_written": now.parts - baseline.parts,
        "jobs_created": now.jobs - baseline.jobs,
        "train_seconds": {each.model.candidate: each.model.seconds for each in verdict.judgements},
        "verdict": list(verdict.reasons),
        "validation_auc": _rounded(verdict.judgement(deployed.model.job).validation),
        "test_auc": _rounded(deployed.metrics["auc"]),
        "training_report": str(_saved_report(workspace, deployed.verdict, folder)),
        "endpoint_status": endpoint.status if endpoint else "absent",
        "predictions": list(_predictions(workspace, deployed)),
    }


def _manifests(workspace: Workspace, dataset: str, days: Sequence[date]) -> list[Manifest]:
    found = (
        workspace.lake.manifest(dataset, partition_at(day.isoformat(), workspace.pipeline.calendar)) for day in days
    )
    return [manifest for manifest in found if manifest is not None]


def _received(workspace: Workspace, folder: Path) -> list[dict[str, Any]]:
    """Receive the new completion events, and append them to a file; return those of all runs."""
    kept = folder / "completions.jsonl"
    sqs, queue = workspace.aws.client("sqs"), workspace.resources.completions_queue
    with kept.open("a") as file:
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            file.writelines(json.dumps(json.loads(message["Body"])) + "\n" for message in messages)
            file.flush()
            entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
    return [json.loads(line) for line in kept.read_text().splitlines()]


def _saved_report(workspace: Workspace, number: int, folder: Path) -> Path:
    """Copy the report on a verdict from the lake to a file that a browser opens; return its path in the checkout."""
    path = folder / "training-report.html"
    path.write_bytes(workspace.lake.get(workspace.lake.layout.report(number)))
    return path.relative_to(path.parents[2])


def _predictions(workspace: Workspace, deployed: DeploymentRecord) -> Iterator[dict[str, Any]]:
    """Yield some flights of the last test day, evenly spread: the live score, and whether the flight was late."""
    model = deployed.model
    snapshot = read_snapshot(workspace.lake, model.snapshot)
    for frame in read_rows(
        workspace.lake, snapshot.dataset, channel_partitions(workspace.pipeline.calendar, snapshot, "test")[-1:]
    ):
        chosen = frame.iloc[:: max(1, len(frame) // _PREDICTIONS)].head(_PREDICTIONS)
        rows = csv_rows(snapshot.encoding.encode(chosen, filled=not model.takes_missing))
        scores = invoke(workspace, workspace.pipeline.require_deployment().endpoint, model, rows)
        for flight, truth, score in zip(chosen["event_id"], chosen[snapshot.label], scores, strict=True):
            yield {"flight": flight, "score": round(float(score), 4), "truth": int(truth)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def show(console: Console, report: dict[str, Any], path: Path) -> None:
    """Write the report as JSON, and print it.

    Args:
        console: Where the report is printed.
        report: What :func:`make_report` returns.
        path: The file to write.
    """
    path.write_text(json.dumps(report, indent=2) + "\n")
    table = Table(
        title="Sluice demo: real flights, from a queue to a live model", show_header=False, title_style="bold"
    )
    table.add_column(style="cyan")
    table.add_column()
    for name, value in report.items():
        if name != "predictions":
            table.add_row(name.replace("_", " "), _shown(value))
    predictions = Table(title="Live predictions beside what really happened", title_style="bold")
    for column in ("flight", "chance of 15 min late or more", "was late"):
        predictions.add_column(column)
    for prediction in report["predictions"]:
        predictions.add_row(prediction["flight"], f"{prediction['score']:.2f}", "yes" if prediction["truth"] else "no")
    console.print(table, predictions)
    console.print(
        "Look further: `make up` for Airflow's web UI on the same lake; .sluice/demo/*.log for each DAG's output;\n"
        f"{path.relative_to(path.parents[2])} for this report; `make help` for the rest.\n"
        f"The report on the models, for a browser: {report['training_report']}",
        highlight=False,
        markup=False,
    )


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items()) or "none"
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
