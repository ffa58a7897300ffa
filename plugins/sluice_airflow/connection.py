"""Opens a workspace or a lake from an Airflow connection: the only difference between the laptop and AWS (P12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice.aws.clients import Aws
    from sluice.lake.store import Lake
    from sluice.workspace import Workspace

AWS_CONN_ID = "aws_default"


def open_workspace(pipeline: str) -> Workspace:
    """Return the pipeline's workspace, with the credentials, region and endpoints of the connection ``aws_default``.

    Raises:
        DeclarationError: there is no such pipeline.
        MissingResource: it is not provisioned.
    """
    from sluice.workspace import Workspace

    return Workspace.open(_aws(), pipeline)


def open_lake(pipeline: str) -> Lake:
    """Return the pipeline's lake, as :func:`open_workspace` does, but without the code of its declaration.

    Raises:
        MissingResource: no such pipeline is provisioned.
    """
    from sluice.aws.resources import find
    from sluice.lake.store import Lake

    aws = _aws()
    return Lake(aws.client("s3"), find(aws, pipeline).bucket, pipeline)


def _aws() -> Aws:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from sluice.aws.clients import Aws

    hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=AWS_CONN_ID)
    return Aws(hook.get_session(), hook.conn_config.get_service_endpoint_url)
