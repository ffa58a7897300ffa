"""The models that are loaded and serve, by endpoint and variant, and which of them answers a request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from localcloud.sagemaker.algorithms.serving import ModelServer
from localcloud.sagemaker.hosting.apportionment import Apportionment


@dataclass(frozen=True)
class Variant:
    """A loaded production variant; it gets weight / sum of weights of the requests.

    ``instances`` and ``config``, the endpoint configuration that it came from, are what its metrics are told by.
    """

    name: str
    weight: float
    server: ModelServer
    instances: int = 1
    config: str = ""


class UnknownVariantError(Exception):
    """The endpoint has no variant of that name."""


class NotServingError(Exception):
    """No such endpoint serves."""


class Fleet:
    """Which variants serve each endpoint. Safe to share between threads.

    Who has been chosen keeps answering, whatever the endpoint is switched to meanwhile.
    """

    def __init__(self) -> None:
        self._routes: dict[str, _Routes] = {}

    def switch(self, endpoint: str, variants: tuple[Variant, ...]) -> None:
        """Send all further requests of the endpoint to these variants."""
        self._routes[endpoint] = _Routes(variants, ((each, each.weight, 1.0) for each in variants))

    def shift(
        self, endpoint: str, old: tuple[Variant, ...], new: tuple[Variant, ...], shares: Mapping[str, float]
    ) -> None:
        """Send a share of each variant's requests, between 0 and 1, to its new fleet and the others to its old one.

        Both fleets have variants of the same names.
        """
        self._routes[endpoint] = _Routes(
            old,
            [
                *((each, each.weight / _total(old), 1 - shares[each.name]) for each in old),
                *((each, each.weight / _total(new), shares[each.name]) for each in new),
            ],
        )

    def drop(self, endpoint: str) -> None:
        """Serve the endpoint no longer."""
        self._routes.pop(endpoint, None)

    def serving(self, endpoint: str) -> tuple[Variant, ...]:
        """What the endpoint was last switched to; while its traffic is shifted, the old fleet.

        Raises:
            NotServingError: the endpoint doesn't serve.
        """
        return self._of(endpoint).variants

    def choose(self, endpoint: str, target: str | None) -> Variant:
        """The variant for the next request: the target, else by weight, spread evenly over the requests.

        Raises:
            NotServingError: the endpoint doesn't serve.
            UnknownVariantError: it has no such variant.
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
    """Where the requests of one endpoint go: untargeted ones by weight and share, targeted ones by share alone."""

    def __init__(self, variants: tuple[Variant, ...], parts: Iterable[tuple[Variant, float, float]]) -> None:
        parts = list(parts)
        self.variants = variants
        self.by_weight = Apportionment((variant, weight * share) for variant, weight, share in parts)
        named: defaultdict[str, list[tuple[Variant, float]]] = defaultdict(list)
        for variant, _, share in parts:
            named[variant.name].append((variant, share))
        self.by_name = {name: Apportionment(shares) for name, shares in named.items()}


def _total(variants: tuple[Variant, ...]) -> float:
    return sum(variant.weight for variant in variants) or 1.0
