"""The completion event of a training."""

from __future__ import annotations

from sluice.completions import CompletionEvent, announce
from sluice.dataset.snapshot import read_snapshot
from sluice.workspace import Workspace


def announce_training(workspace: Workspace, job_name: str, fingerprint: str, run_id: str) -> bool:
    """Publish that a training job has made a model, unless that was published before.

    Args:
        workspace: The workspace of the pipeline that trained.
        job_name: The name of the job.
        fingerprint: The fingerprint of the snapshot that the job was trained on.
        run_id: The Airflow run that publishes, for the event.

    Returns:
        Whether this call published it.
    """
    lake = workspace.lake
    snapshot = read_snapshot(lake, fingerprint)
    event = CompletionEvent(
        pipeline=lake.pipeline,
        stage="training",
        subject=job_name,
        revision=1,
        late=False,
        manifest_uri=lake.uri(lake.layout.snapshot(fingerprint)),
        checksum=fingerprint,
        rows_in=sum(snapshot.rows.values()),
        rows_out=snapshot.rows["train"],
        run_id=run_id,
    )
    return announce(workspace, event)
