"""Links from tasks to the console of AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink
from typing_extensions import override

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey
    from botocore.client import ClientMeta


class TrainingJobLink(BaseOperatorLink):
    """Links a task that waits for a training job or a tuning job to the job's page in SageMaker's console.

    The task's process makes the link when it defers and when it ends. Where the connection leads to another service
    than AWS, such as the embedded cloud, there is no console: the link is empty, and Airflow's web UI shows none.
    """

    @property
    @override
    def name(self) -> str:
        return "Training job"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        from sluice.training.kinds import kind_of
        from sluice_airflow.shared import WORKSPACES

        task: Any = operator
        workspace = WORKSPACES.get(task.pipeline)
        page = kind_of(workspace.pipeline, task.job_name).page
        return console_url(workspace.aws.client("sagemaker").meta, f"{page}/{quote(task.job_name, safe='')}")


def console_url(meta: ClientMeta, page: str) -> str:
    """Return the URL of a page of SageMaker's console; empty if the client's endpoint is not at AWS.

    Args:
        meta: The metadata of a client of SageMaker: its endpoint, region and partition.
        page: The path of the page in the console.
    """
    from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink

    host, domain = urlsplit(meta.endpoint_url).hostname or "", BaseAwsLink.get_aws_domain(meta.partition)
    if domain is None or not host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws")):
        return ""
    region = meta.region_name
    return f"https://{region}.console.{domain}/sagemaker/home?region={region}#/{page}"
