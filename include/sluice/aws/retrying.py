"""Retries with a limit, exponential back-off and jitter."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential


def retrying(
    is_worth_it: Callable[[BaseException], bool] | type[BaseException], *, attempts: int, first: float, longest: float
) -> Retrying:
    """Retry after certain exceptions. When all attempts have failed, the last exception is raised.

    Args:
        is_worth_it: The class of exceptions to retry, or a predicate of them.
        attempts: The number of calls in all.
        first: The first wait is at most this long, in seconds; each later one at most twice as long as the one before.
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
