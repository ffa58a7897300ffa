"""One look at a live model: a report, and the event that announces what it has found."""

from __future__ import annotations

from sluice.completions import CompletionEvent, announce
from sluice.lake.journal import entry_key
from sluice.lake.partitions import format_ranges
from sluice.monitoring.findings import on_endpoint, on_quality, on_sources
from sluice.monitoring.health import Health, endpoint_health, oldest_events
from sluice.monitoring.quality import Quality, measure_quality
from sluice.monitoring.report import Report, newest_report, read_report, record_report
from sluice.serving.records import DeploymentRecord, last_proven
from sluice.workspace import Workspace


def watch(workspace: Workspace) -> int:
    """Look at the live model, its endpoint and the sources once, and record what was found.

    Outcomes that arrive late change a partition, and the next look sees them.

    Args:
        workspace: The workspace of a pipeline that watches its model.

    Returns:
        The number of the report, from 1. If nothing has changed, it is that of the last one.

    Raises:
        DeclarationError: the rows lack a feature of the model, or the label.
        MissingResource: the snapshot that the model was trained on does not exist.
        ClientError: a call failed transiently; look again.
    """
    pipeline, lake = workspace.pipeline, workspace.lake
    endpoint = pipeline.require_deployment().endpoint
    proven, health = last_proven(lake, endpoint), endpoint_health(workspace)
    quality = _quality(workspace, proven, health)
    oldest = oldest_events(workspace) if pipeline.require_monitoring().oldest else {}
    findings = (
        *on_quality(pipeline, quality),
        *(on_endpoint(pipeline, proven, health, quality.refusal) if proven else ()),
        *on_sources(pipeline, oldest),
    )
    before = newest_report(lake)
    report = Report(
        endpoint=endpoint,
        model=proven.model.job if proven else None,
        partitions=format_ranges(quality.partitions),
        rows=quality.rows,
        judged=quality.judged,
        metrics=quality.metrics,
        drift=quality.drift,
        status=str(health.live or "gone"),
        errors=health.errors,
        latency=health.latency.total_seconds() if health.latency is not None else None,
        oldest={name: age.total_seconds() for name, age in oldest.items()},
        findings=findings,
        since=before.since if before is not None and before.findings == findings else lake.now(),
    )
    return record_report(lake, report)


def _quality(workspace: Workspace, proven: DeploymentRecord | None, health: Health) -> Quality:
    if proven is None:
        return Quality()
    serves = health.live is not None and health.live.serves(proven.config)
    return measure_quality(workspace, proven.model, serves=serves)


def announce_findings(workspace: Workspace, number: int, run_id: str) -> bool:
    """Publish what a report has found, unless it has found nothing or the same was published before.

    Args:
        workspace: The workspace of a pipeline that watches its model.
        number: The number of the report.
        run_id: The Airflow run that publishes, for the event.

    Returns:
        Whether this call published it.

    Raises:
        MissingResource: there is no such report.
    """
    lake, report = workspace.lake, read_report(workspace.lake, number)
    if not report.findings:
        return False
    event = CompletionEvent(
        pipeline=lake.pipeline,
        stage="monitoring",
        subject=report.endpoint,
        revision=1,
        late=False,
        manifest_uri=lake.uri(entry_key(lake.layout.monitoring(), number)),
        checksum=report.digest,
        rows_in=report.rows,
        rows_out=report.judged,
        run_id=run_id,
        findings=tuple(each.text for each in report.findings),
    )
    return announce(workspace, event)


def training_run(workspace: Workspace, number: int) -> str | None:
    """Return the name of the training run that a report starts. The same findings have the same name.

    Args:
        workspace: The workspace of a pipeline that watches its model.
        number: The number of the report.

    Returns:
        None if the model still fits the data: a training helps against nothing else.

    Raises:
        MissingResource: there is no such report.
    """
    report = read_report(workspace.lake, number)
    return f"monitoring={report.digest[:16]}" if report.is_outdated else None
