"""Types of hyperparameters, each with its range, and the check of what a user declares against them.

A TypedDict of these types serves both: an editor and mypy read its types, and the check reads its ranges. A declaration
is made whenever Airflow parses a DAG file, so this module imports no library that checks schemas.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from math import inf, isfinite
from types import UnionType
from typing import Annotated, Any, Literal, Required, Union, get_args, get_origin

from typing_extensions import get_type_hints

from sluice.errors import DeclarationError


@dataclass(frozen=True)
class Range:
    """Numbers from ``least`` to ``most``.

    Args:
        least: The smallest number.
        most: The largest number.
        above: Whether ``least`` itself is excluded.
        below: Whether ``most`` itself is excluded.
    """

    least: float = -inf
    most: float = inf
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        return (value > self.least if self.above else value >= self.least) and (
            value < self.most if self.below else value <= self.most
        )

    def __str__(self) -> str:
        least = f"above {self.least:g}" if self.above else f"of at least {self.least:g}"
        most = f"below {self.most:g}" if self.below else f"of at most {self.most:g}"
        return " and ".join([*([least] if isfinite(self.least) else []), *([most] if isfinite(self.most) else [])])


Auto = Literal["auto"]
Flag = bool | Literal["true", "false"]  # SageMaker takes them as text
ZeroOrOne = Annotated[int, Range(0, 1)]
AtLeastOne = Annotated[int, Range(1)]
Whole = Annotated[int, Range(0)]
NotNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
Share = Annotated[float, Range(0, 1)]
ShareAboveZero = Annotated[float, Range(0, 1, above=True)]
Inside = Annotated[float, Range(0, 1, above=True, below=True)]


def check_hyperparameters(where: str, kind: Any, required: Collection[str], declared: object) -> None:
    """Check names, types and ranges of hyperparameters.

    Args:
        where: The owner of the hyperparameters, such as ``candidate xgboost``.
        kind: The TypedDict that has their types.
        required: Those that must be there.
        declared: What the user declared.

    Raises:
        DeclarationError: the first hyperparameter that is unknown or missing, or whose value SageMaker refuses.
    """
    if not isinstance(declared, Mapping):
        raise DeclarationError(
            f"{where}: hyperparameters={declared!r} must be a mapping; write it as {{'num_round': 100}}"
        )
    known = _types(kind)
    for name, value in declared.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise DeclarationError(
                f"{where}: SageMaker does not know the hyperparameter {name!r}"
                + (f"; write it as {near[0]!r}" if near else "")
            )
        if not _fits(known[name], value):
            raise DeclarationError(f"{where}: {name}={value!r} must be {_expected(known[name])}")
    for name in required:
        if name not in declared:
            raise DeclarationError(f"{where}: the hyperparameter {name} is missing")


@cache
def _types(kind: Any) -> Mapping[str, Any]:
    hints: Mapping[str, Any] = get_type_hints(kind, include_extras=True)
    return {name: _unwrapped(hint) for name, hint in hints.items()}


def _unwrapped(hint: Any) -> Any:
    origin: Any = get_origin(hint)
    return get_args(hint)[0] if origin is Required else hint


def _fits(kind: Any, value: Any) -> bool:
    origin: Any = get_origin(kind)
    members = get_args(kind)
    if origin is Annotated:
        return _fits(members[0], value) and value in members[1]
    if origin is Literal:
        return isinstance(value, str) and value in members
    if origin in (Union, UnionType):
        return any(_fits(each, value) for each in members)
    if kind is float:
        return type(value) in (int, float) and isfinite(value)
    return type(value) is kind


def _expected(kind: Any) -> str:
    origin: Any = get_origin(kind)
    members = get_args(kind)
    if origin is Annotated:
        return f"{_expected(members[0])} {members[1]}"
    if origin is Literal:
        return "one of " + ", ".join(map(repr, members)) if len(members) > 1 else repr(members[0])
    if origin in (Union, UnionType):
        return " or ".join(map(_expected, members))
    return {int: "a whole number", float: "a number", str: "text", bool: "True or False"}[kind]
