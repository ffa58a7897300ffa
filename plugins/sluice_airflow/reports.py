"""The task that writes the report of a training, and its link to the page on which a user who is logged in reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from typing_extensions import override

from sluice_airflow.connection import open_workspace
from sluice_airflow.errors import one_line_errors

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

REPORTS_PATH = "/sluice/reports"


class ReportLink(BaseOperatorLink):
    """Links the task to its report on the API server, by a path that gives no right: the page asks who reads it."""

    @property
    @override
    def name(self) -> str:
        return "Report"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        task: Any = operator
        # The UI may be open under another name of the server, so the link is a path.
        behind = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
        return f"{behind}{REPORTS_PATH}/{task.pipeline}/{int(task.verdict)}"


class ReportOperator(BaseOperator):
    """Writes the report on a verdict, and returns the number of the verdict. It is safe to repeat.

    Args:
        pipeline: The name of a pipeline that declares a training.
        verdict: The number of the verdict; a template.
        kwargs: Those of BaseOperator.
    """

    template_fields: Sequence[str] = ("verdict",)
    operator_extra_links = (ReportLink(),)

    def __init__(self, *, pipeline: str, verdict: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.verdict = verdict

    @override
    @one_line_errors
    def execute(self, context: Context) -> int:
        from sluice.evaluation.report import make_report

        workspace, number = open_workspace(self.pipeline), int(self.verdict)
        self.log.info("wrote %s", workspace.lake.uri(make_report(workspace, number)))
        return number


async def report_pages(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Serve the reports, as an ASGI application. Only the API server calls it, so only there a web framework is loaded.

    Args:
        scope: The request, as ASGI describes it.
        receive: Returns the next event of the request.
        send: Sends an event of the response.
    """
    from sluice_airflow.report_pages import APPLICATION

    await APPLICATION(scope, receive, send)
