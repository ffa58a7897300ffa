"""The log of a training job in CloudWatch Logs: its last lines."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from sluice.aws.failures import explain, is_absent
from sluice.workspace import Workspace

GROUP = "/aws/sagemaker/TrainingJobs"
_LONGEST = 500  # characters


def last_lines(workspace: Workspace, job_name: str, most: int) -> str:
    """Return the end of a job's log as one line of at most 500 characters. It never fails.

    Args:
        workspace: The workspace of the pipeline that trains.
        job_name: The name of the job.
        most: The most lines to return.

    Returns:
        The lines, joined by ``|``; empty if there are none; the reason if the log can't be read.
    """
    try:
        lines = log_lines(workspace, job_name, most)
    except (BotoCoreError, ClientError) as error:
        return f"its log can't be read: {explain(error)}"
    text = " | ".join(" ".join(line.split()) for line in lines)
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"


def log_lines(workspace: Workspace, job_name: str, most: int) -> list[str]:
    """Return the last lines of the stream that was written last: each instance of a job has one of its own.

    Args:
        workspace: The workspace of the pipeline that trains.
        job_name: The name of the job.
        most: The most lines to return.

    Returns:
        The lines, oldest first; empty if the job has written none yet.
    """
    logs = workspace.aws.client("logs")
    try:
        streams = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{job_name}/")["logStreams"]
    except ClientError as error:
        if is_absent(error):
            return []  # no job of this account has written a log yet
        raise
    if not streams:
        return []
    last = max(streams, key=lambda stream: stream.get("lastEventTimestamp", 0))
    events = logs.get_log_events(logGroupName=GROUP, logStreamName=last["logStreamName"], limit=most)["events"]
    return [event["message"].replace("#011", "\t") for event in events]  # as SageMaker writes a tab
