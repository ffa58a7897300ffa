"""Types of hyperparameters, each with its range, and the check of what a user declares against them.

A TypedDict of these types serves both: an editor and mypy read its types, and the check reads its ranges.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from sluice.errors import DeclarationError

Auto = Literal["auto"]
Flag = bool | Literal["true", "false"]  # SageMaker takes them as text
ZeroOrOne = Annotated[int, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareAboveZero = Annotated[float, Field(gt=0, le=1)]
Inside = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]


def check_hyperparameters(where: str, kind: Any, declared: object) -> None:
    """Check names, types and ranges of hyperparameters.

    Args:
        where: The owner of the hyperparameters, such as ``candidate xgboost``.
        kind: The TypedDict that has their types.
        declared: What the user declared.

    Raises:
        DeclarationError: the first hyperparameter that is unknown, or that has a value which SageMaker refuses.
    """
    if not isinstance(declared, Mapping):
        raise DeclarationError(
            f"{where}: hyperparameters={declared!r} must be a mapping; write it as {{'num_round': 100}}"
        )
    known = kind.__annotations__
    for name in declared:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            raise DeclarationError(
                f"{where}: SageMaker does not know the hyperparameter {name!r}"
                + (f"; write it as {near[0]!r}" if near else "")
            )
    try:
        _adapter(kind).validate_python(dict(declared), strict=True)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        if name not in declared:
            raise DeclarationError(f"{where}: the hyperparameter {name} is missing") from None
        wrong = " or ".join(dict.fromkeys(_expected(each) for each in error.errors() if each["loc"][0] == name))
        raise DeclarationError(f"{where}: {name}={declared[name]!r} must be {wrong}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _expected(error: Any) -> str:
    """Return what pydantic expects: "Input should be less than 1" is "less than 1"."""
    return str(error["msg"]).removeprefix("Input should be ")
