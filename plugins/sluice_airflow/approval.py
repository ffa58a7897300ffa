"""The operator by which a person approves a model in the web UI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException
from typing_extensions import override

from sluice_airflow.connection import open_workspace
from sluice_airflow.errors import one_line_errors

if TYPE_CHECKING:
    from sluice.serving.registry import Version
    from sluice.workspace import Workspace


class ModelApprovalOperator(ApprovalOperator):
    """Asks whether the winner of a verdict may go live, unless the model registry has the answer already.

    The answer is kept in the registry. Without one in time, the task fails, and what is live stays.

    Args:
        pipeline: The name of a pipeline that declares an approval.
        verdict: The number of the verdict; a template.
        kwargs: Those of ApprovalOperator.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "verdict")

    def __init__(self, *, pipeline: str, verdict: Any, **kwargs: Any) -> None:
        super().__init__(subject=f"May the new model of {pipeline} go live?", fail_on_reject=True, **kwargs)
        self.pipeline = pipeline
        self.verdict = verdict

    @override
    @one_line_errors
    def execute(self, context: Context) -> Any:
        from sluice.evaluation.verdict import read_verdict
        from sluice.serving.registry import approval

        workspace = open_workspace(self.pipeline)
        version = self._version(workspace)
        status = approval(workspace, version)
        if status == "Approved":
            return None
        if status == "Rejected":
            raise AirflowFailException(f"version {version.number} was rejected before; what is live stays")
        reasons = read_verdict(workspace.lake, int(self.verdict)).reasons
        self.body = "\n".join(f"- {reason}" for reason in reasons)
        return super().execute(context)

    @override
    @one_line_errors
    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        from sluice.serving.registry import decide

        workspace = open_workspace(self.pipeline)
        version = self._version(workspace)
        who = f"in Airflow's web UI, by {(event.get('responded_by_user') or {}).get('name', 'somebody')}"
        try:
            super().execute_complete(context, event)
        except HITLRejectException:
            decide(workspace, version, "Rejected", f"Rejected {who}.")
            raise AirflowFailException(f"version {version.number} was rejected {who}; what is live stays") from None
        except HITLTimeoutError:
            raise AirflowFailException(
                f"nobody has approved version {version.number} in time; clear this task to ask again"
            ) from None
        decide(workspace, version, "Approved", f"Approved {who}.")

    def _version(self, workspace: Workspace) -> Version:
        from sluice.serving.registry import register

        return register(workspace, int(self.verdict))
