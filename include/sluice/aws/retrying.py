"""Retries with a limit, exponential back-off and jitter."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential


def retrying(
    is_worth_it: Callable[[BaseException], bool] | type[BaseException], *, attempts: int, first: float, longest: float
) -> Retrying:
    """Return a policy that retries after certain exceptions, and raises the last one when all attempts have failed.

    Args:
        is_worth_it: The class of exceptions to retry, or a predicate of them.
        attempts: The number of calls in all, from 1.
        first: The first wait is at most this long, in seconds. The limit doubles with each later wait.
        longest: No wait is longer, in seconds.
    """
    kind = is_worth_it
    predicate = (lambda error: isinstance(error, kind)) if isinstance(kind, type) else kind
    return Retrying(
        retry=retry_if_exception(predicate),
        wait=wait_random_exponential(multiplier=first, max=longest),
        stop=stop_after_attempt(attempts),
        reraise=True,
    )
