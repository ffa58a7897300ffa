"""Calling again, a bounded number of times, after waits that grow and are never the same for two callers."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential


def retrying(
    is_worth_it: Callable[[BaseException], bool] | type[BaseException], *, attempts: int, first: float, longest: float
) -> Retrying:
    """Calls again after an exception of that class, or one of which the predicate is true; then raises the last one.

    Args:
        attempts: calls in all.
        first: seconds that the first wait lasts at most; each later one may last twice as long as the one before.
        longest: seconds that any wait lasts at most.
    """
    kind = is_worth_it
    predicate = (lambda error: isinstance(error, kind)) if isinstance(kind, type) else kind
    return Retrying(
        retry=retry_if_exception(predicate),
        wait=wait_random_exponential(multiplier=first, max=longest),
        stop=stop_after_attempt(attempts),
        reraise=True,
    )
