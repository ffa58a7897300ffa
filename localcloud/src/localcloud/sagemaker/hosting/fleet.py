"""The loaded models by endpoint and variant, and which of them answers a request."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from localcloud.sagemaker.algorithms.serving import ModelServer

T = TypeVar("T")


@dataclass(frozen=True)
class Variant:
    """A loaded production variant.

    Attributes:
        name: The variant's name.
        weight: Its share of the requests is its weight by the sum of all weights.
        server: The model.
        instances: How many instances its metrics count.
        config: The name of its endpoint configuration, a dimension of its metrics.
    """

    name: str
    weight: float
    server: ModelServer
    instances: int = 1
    config: str = ""


class UnknownVariantError(Exception):
    """The endpoint has no variant of that name."""


class NotServingError(Exception):
    """The endpoint doesn't exist, or doesn't serve."""


class Fleet:
    """Which variants serve each endpoint. Safe to share between threads.

    A variant that was chosen answers its request, even if the endpoint is switched to others meanwhile.
    """

    def __init__(self) -> None:
        self._routes: dict[str, _Routes] = {}

    def switch(self, endpoint: str, variants: tuple[Variant, ...]) -> None:
        """Send all further requests of an endpoint to these variants."""
        self._routes[endpoint] = _Routes(variants, ((each, each.weight, 1.0) for each in variants))

    def shift(
        self, endpoint: str, old: tuple[Variant, ...], new: tuple[Variant, ...], shares: Mapping[str, float]
    ) -> None:
        """Send a share of each variant's requests to its new fleet, and the others to its old one.

        Args:
            endpoint: The endpoint's name.
            old: The variants of the old fleet.
            new: The variants of the new fleet, with the same names.
            shares: The share of the new fleet by variant, between 0 and 1.
        """
        self._routes[endpoint] = _Routes(
            old,
            [
                *((each, each.weight / _total(old), 1 - shares[each.name]) for each in old),
                *((each, each.weight / _total(new), shares[each.name]) for each in new),
            ],
        )

    def drop(self, endpoint: str) -> None:
        """Stop serving the endpoint."""
        self._routes.pop(endpoint, None)

    def serving(self, endpoint: str) -> tuple[Variant, ...]:
        """Return the variants of the last `switch`; while traffic is shifted, these are the old fleet.

        Raises:
            NotServingError: The endpoint doesn't serve.
        """
        return self._of(endpoint).variants

    def choose(self, endpoint: str, target: str | None) -> Variant:
        """Return the variant for the next request.

        Args:
            endpoint: The endpoint's name.
            target: The name of the variant; None for a choice by weight, spread evenly over the requests.

        Raises:
            NotServingError: The endpoint doesn't serve.
            UnknownVariantError: It has no such variant.
        """
        routes = self._of(endpoint)
        if target is None:
            return routes.by_weight.next()
        try:
            return routes.by_name[target].next()
        except KeyError as error:
            raise UnknownVariantError(target) from error

    def _of(self, endpoint: str) -> _Routes:
        try:
            return self._routes[endpoint]
        except KeyError as error:
            raise NotServingError(endpoint) from error


class _Routes:
    """Where the requests of one endpoint go: by weight and share, or by share alone if they name a variant."""

    def __init__(self, variants: tuple[Variant, ...], parts: Iterable[tuple[Variant, float, float]]) -> None:
        parts = list(parts)
        self.variants = variants
        self.by_weight = Apportionment((variant, weight * share) for variant, weight, share in parts)
        named: defaultdict[str, list[tuple[Variant, float]]] = defaultdict(list)
        for variant, _, share in parts:
            named[variant.name].append((variant, share))
        self.by_name = {name: Apportionment(shares) for name, shares in named.items()}


class Apportionment(Generic[T]):
    """Gives turns to candidates by weight. Safe to share between threads.

    After any number of turns, a candidate has had less than one turn more or less than its share: of the candidates
    that are due for a turn, the one that would be overdue first is chosen. See R. Tijdeman, "The chairman assignment
    problem", Discrete Mathematics 32 (1980).

    Args:
        weighted: The candidates with their weights, at least one. A candidate without weight gets no turn; if none has
            weight, all get equal turns.
    """

    def __init__(self, weighted: Iterable[tuple[T, float]]) -> None:
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
        """Return the candidate whose turn it is."""
        if len(self._candidates) == 1:
            return self._candidates[0]
        with self._lock:
            self._given += 1
            due = [self._due(each) for each in range(len(self._candidates))]
            least = min(self._slack, max(due))  # one is always due, even if the shares were rounded
            chosen = min((each for each, turns in enumerate(due) if turns >= least), key=self._overdue_after)
            self._turns[chosen] += 1
            return self._candidates[chosen]

    def _due(self, candidate: int) -> float:
        """Return how many turns the candidate is behind its share, this turn included."""
        return self._given * self._shares[candidate] - self._turns[candidate]

    def _overdue_after(self, candidate: int) -> float:
        """Return after how many turns of all the candidate would be overdue."""
        return (self._turns[candidate] + 1 - self._slack) / self._shares[candidate]


def _total(variants: tuple[Variant, ...]) -> float:
    return sum(variant.weight for variant in variants) or 1.0
