"""Turns what the library raises into what Airflow shows and acts upon."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowFailException

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

P = ParamSpec("P")
R = TypeVar("R")


def clear_errors(function: Callable[P, R]) -> Callable[P, R]:
    """One line instead of a traceback, and no retry of what only a change can mend.

    A lost race with another writer, a service that can't be reached and what AWS refuses are retried as the task
    says; a wrong declaration, a missing resource, a failed training or deployment are not.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        from botocore.exceptions import BotoCoreError, ClientError

        from sluice.errors import ConflictingWrite, SluiceError

        try:
            return function(*args, **kwargs)
        except ConflictingWrite as error:
            raise AirflowException(str(error)) from None
        except SluiceError as error:
            raise AirflowFailException(str(error)) from None
        except (BotoCoreError, ClientError) as error:
            raise AirflowException(trouble_with_aws(error)) from None

    return call


def trouble_with_aws(error: BotoCoreError | ClientError) -> str:
    """One line for what AWS refused, or could not be asked."""
    from botocore.exceptions import ClientError

    from sluice.aws import refusal

    if isinstance(error, ClientError):
        return refusal(error)
    return f"{error}; check the connection aws_default and that the service is up (on a laptop: make up)"
