"""Turns errors of the library into Airflow's exceptions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

_LOG = logging.getLogger("airflow.task")

P = ParamSpec("P")
R = TypeVar("R")


def one_line_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a task so that its log has one line instead of a traceback, and only a transient failure is retried.

    A transient failure (see :func:`sluice.aws.failures.is_transient`) is retried as often as the task declares. A wrong
    declaration, a missing resource, a failed training or deployment, and a call that AWS refuses fail the task at once.

    Why a task is skipped is a line of its log as well. Airflow's own line is in a group that the web UI folds.

    Raises:
        AirflowException: the task failed transiently.
        AirflowFailException: the task failed for another reason.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        from botocore.exceptions import BotoCoreError, ClientError

        from sluice.errors import SluiceError

        try:
            return function(*args, **kwargs)
        except (SluiceError, BotoCoreError, ClientError) as error:
            raise _task_failure(error) from None
        except AirflowSkipException as skip:
            _LOG.warning("skipped: %s", skip)
            raise

    return call


def _task_failure(error: BaseException) -> AirflowException:
    """Return the exception that fails the task, so that Airflow retries it only if the error is transient."""
    from sluice.aws.failures import is_transient

    kind = AirflowException if is_transient(error) else AirflowFailException
    return kind(one_line(error))


def one_line(error: BaseException) -> str:
    """Return what failed and the next action, as one line."""
    from sluice.aws.failures import explain

    return explain(error, unreachable="check the connection aws_default and that the service is up")
