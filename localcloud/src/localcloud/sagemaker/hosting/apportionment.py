"""Turns that are given in proportion to weights, as evenly as can be."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Apportionment(Generic[T]):
    """Gives turns to candidates by weight. Safe to share between threads.

    After any number of turns, the number that a candidate has had differs from what is due to it by less than one:
    among the candidates that are due for a turn, the one goes first that would be overdue first. See R. Tijdeman, "The
    chairman assignment problem", Discrete Mathematics 32 (1980).
    """

    def __init__(self, weighted: Iterable[tuple[T, float]]) -> None:
        """At least one candidate. Those without weight get no turn, unless none has any: then all get the same."""
        candidates = list(weighted)
        total = sum(weight for _, weight in candidates)
        if not total:
            candidates, total = [(each, 1.0) for each, _ in candidates], len(candidates)
        self._candidates = [each for each, weight in candidates if weight]
        self._shares = [weight / total for _, weight in candidates if weight]
        self._turns = [0] * len(self._candidates)
        self._given = 0
        self._slack = 1 / max(1, 2 * len(self._candidates) - 2)
        self._lock = threading.Lock()

    def next(self) -> T:
        """The candidate whose turn it is."""
        if len(self._candidates) == 1:
            return self._candidates[0]
        with self._lock:
            self._given += 1
            due = [self._due(each) for each in range(len(self._candidates))]
            least = min(self._slack, max(due))  # somebody is always due, however the shares were rounded
            chosen = min((each for each, turns in enumerate(due) if turns >= least), key=self._overdue_after)
            self._turns[chosen] += 1
            return self._candidates[chosen]

    def _due(self, candidate: int) -> float:
        """How many turns are owed to the candidate, this one included."""
        return self._given * self._shares[candidate] - self._turns[candidate]

    def _overdue_after(self, candidate: int) -> float:
        """After how many turns of all the candidate would have waited too long."""
        return (self._turns[candidate] + 1 - self._slack) / self._shares[candidate]
