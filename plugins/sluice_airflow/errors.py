"""Turns what the library raises into what Airflow shows and acts upon."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowFailException

P = ParamSpec("P")
R = TypeVar("R")


def clear_errors(function: Callable[P, R]) -> Callable[P, R]:
    """One line instead of a traceback, and no retry of what only a change can mend.

    A lost race with another writer and a service that can't be reached are retried as the task says; a wrong
    declaration, a missing resource, a failed training or deployment are not.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        from botocore.exceptions import BotoCoreError

        from sluice.errors import ConflictingWrite, SluiceError

        try:
            return function(*args, **kwargs)
        except ConflictingWrite as error:
            raise AirflowException(str(error)) from None
        except SluiceError as error:
            raise AirflowFailException(str(error)) from None
        except BotoCoreError as error:
            raise AirflowException(
                f"{error}; check the connection aws_default and that the service is up (on a laptop: make up)"
            ) from None

    return call
