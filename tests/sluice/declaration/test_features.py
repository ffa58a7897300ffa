"""What a feature may be; a mistake is reported when it is declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.sluice.toy import TOY, toy

from sluice.declaration import Category, Gate, Multiclass, Number, XGBoost
from sluice.errors import DeclarationError

CLASSES = {
    "problem": Multiclass(3),
    "gate": Gate("accuracy", at_least=0.5),
    "candidates": (XGBoost({"objective": "multi:softprob", "num_class": 3, "num_round": 1}),),
}


def declared(*features: Any, **changes: Any) -> Any:
    return replace(TOY.require_training(), features=features, **changes)


def test_plain_name_is_a_number() -> None:
    carrier = Category("carrier")

    assert declared("distance", carrier, Number("delay", fill=0)).inputs == (
        Number("distance"),
        carrier,
        Number("delay", fill=0),
    )
    assert (Number("distance").kind, carrier.kind) == ("number", "category")


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: Number(""), "feature: name='' must be text; write it as name='distance'"),
        (lambda: Number("d", fill=float("nan")), "feature d: fill=nan must be a number from"),
        (lambda: Number("d", fill="0"), "feature d: fill='0' must be a number"),  # type: ignore[arg-type]
        (lambda: Category("c", encoding="onehot"), "feature c: encoding='onehot' is unknown; write one of 'one_hot', "),  # type: ignore[arg-type]
        (lambda: Category("c", at_least=1.1), "feature c: at_least=1.1 must be a number from 0.001 to 1"),
        (lambda: Category("c", at_least=0.0001), "feature c: at_least=0.0001 must be a number from 0.001 to 1"),
        (lambda: Category("c", encoding="ordinal", at_least=-1), "feature c: at_least=-1 must be a number from 0 to 1"),
        (lambda: toy(training=declared("value", Category("value"))), "must name each feature once"),
        (lambda: toy(training=declared(Category("late"))), "and not its own label"),
        (lambda: declared("value", 7), "training: features=.* must be a tuple; write it as features=\\('lag_1',\\)"),
        (lambda: declared("value", split=0.3), "training: split=0.3 must be a split; write it as TimeSplit"),
        (
            lambda: declared(Category("c", encoding="target_mean"), **CLASSES),
            r"feature c: the classes of Multiclass\(3\) have no mean; write encoding='one_hot' or 'ordinal'",
        ),
    ],
)
def test_wrong_feature_is_refused_in_one_line(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as refused:
        declare()
    assert "\n" not in str(refused.value)


def test_each_encoding_may_be_declared_where_it_fits() -> None:
    assert declared(Category("c"), Category("d", encoding="ordinal", at_least=0), **CLASSES)
    assert declared(Category("c", encoding="target_mean", at_least=0))
