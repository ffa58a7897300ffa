"""Lets SIGTERM end ``airflow dags test``.

Airflow runs each task of it in its own process, and handles SIGTERM there by the task's ``on_kill`` alone. That handler
stays when the task has ended, so a wait, and every task after it, would go on as if nothing had come.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from sluice_airflow.runs import is_dags_test

if TYPE_CHECKING:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: RuntimeTaskInstance) -> None:
    """End the process by SIGTERM, once ``on_kill`` of the task has run, if it is one of ``airflow dags test``.

    Args:
        previous_state: The state before this one.
        task_instance: The task that begins.
    """
    if not is_dags_test(task_instance.get_template_context()):
        return
    before = signal.getsignal(signal.SIGTERM)

    def end(number: int, frame: Any) -> None:
        if callable(before):
            before(number, frame)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
