"""Opens a workspace from an Airflow connection: the only difference between the laptop and AWS (P12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluice.workspace import Workspace

AWS_CONN_ID = "aws_default"


def open_workspace(pipeline: str) -> Workspace:
    """Return the pipeline's workspace, with the credentials, region and endpoints of the connection ``aws_default``.

    Raises:
        DeclarationError: there is no such pipeline.
        MissingResource: it is not provisioned.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    from sluice.aws.clients import Aws
    from sluice.workspace import Workspace

    hook: AwsGenericHook[Any] = AwsGenericHook(aws_conn_id=AWS_CONN_ID)
    return Workspace.open(Aws(hook.get_session(), hook.conn_config.get_service_endpoint_url), pipeline)
