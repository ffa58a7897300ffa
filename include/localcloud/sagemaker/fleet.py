"""The models that are loaded and serve, by endpoint and variant."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from localcloud.sagemaker.serving import ModelServer


@dataclass(frozen=True)
class Variant:
    """A loaded production variant; it gets weight / sum of weights of the requests."""

    name: str
    weight: float
    server: ModelServer


class UnknownVariantError(Exception):
    """The endpoint has no variant of that name."""


class NotServingError(Exception):
    """No such endpoint serves."""


class Fleet:
    """Which variants serve each endpoint. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._variants: dict[str, tuple[Variant, ...]] = {}
        self._credit: dict[str, dict[str, float]] = {}

    def switch(self, endpoint: str, variants: tuple[Variant, ...]) -> None:
        """Send all further requests of the endpoint to these variants."""
        with self._lock:
            self._variants[endpoint] = variants
            self._credit[endpoint] = {variant.name: 0.0 for variant in variants}

    def drop(self, endpoint: str) -> None:
        """Serve the endpoint no longer."""
        with self._lock:
            self._variants.pop(endpoint, None)
            self._credit.pop(endpoint, None)

    def choose(self, endpoint: str, target: str | None) -> Variant:
        """The variant for the next request: the target, else by weight, spread evenly over the requests.

        Raises:
            NotServingError: the endpoint doesn't serve.
            UnknownVariantError: it has no such variant.
        """
        with self._lock:
            variants = self._variants.get(endpoint)
            if variants is None:
                raise NotServingError(endpoint)
            if target is not None:
                for variant in variants:
                    if variant.name == target:
                        return variant
                raise UnknownVariantError(target)
            credit = self._credit[endpoint]
            for variant in variants:
                credit[variant.name] += variant.weight
            chosen = max(variants, key=lambda variant: credit[variant.name])
            credit[chosen.name] -= sum(variant.weight for variant in variants)
            return chosen
