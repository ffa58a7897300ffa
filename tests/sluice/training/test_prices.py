"""What an instance costs: by the declaration, else by the list of us-east-1, else unknown, and never 0."""

from __future__ import annotations

from dataclasses import replace

import boto3
import pytest
from tests.clients import offline
from tests.sluice.toy import TOY, toy

from sluice.aws.clients import Aws
from sluice.errors import DeclarationError
from sluice.training.prices import hourly_price, price_of


def test_listed_price_is_billed_by_the_second() -> None:
    workspace = offline(TOY)

    assert hourly_price(workspace, "ml.m5.large") == 0.115
    assert price_of(workspace, "ml.m5.large", 3600) == 0.115
    assert price_of(workspace, "ml.m5.xlarge", 90) == pytest.approx(0.00575)  # 0.23 $ * 90 / 3600
    assert price_of(workspace, "ml.m5.large", 0) == 0


def test_declared_price_replaces_the_listed_one() -> None:
    workspace = offline(toy(prices={"ml.m5.large": 0.09, "ml.own": 2}))

    assert hourly_price(workspace, "ml.m5.large") == 0.09
    assert price_of(workspace, "ml.own", 1800) == 1
    assert hourly_price(workspace, "ml.m5.xlarge") == 0.23


def test_price_is_unknown_in_another_region_and_of_another_instance() -> None:
    frankfurt = Aws(boto3.Session("test", "test", region_name="eu-central-1"))
    abroad = replace(offline(toy(prices={"ml.m5.xlarge": 0.276})), aws=frankfurt)

    assert hourly_price(offline(TOY), "ml.m9.large") is None
    assert price_of(offline(TOY), "ml.m9.large", 60) is None
    assert hourly_price(abroad, "ml.m5.large") is None
    assert hourly_price(abroad, "ml.m5.xlarge") == 0.276


@pytest.mark.parametrize("price", [-0.1, float("nan"), float("inf"), True, "0.115"])
def test_price_that_is_none_is_refused(price: object) -> None:
    with pytest.raises(DeclarationError, match=r"pipeline toy: the price .* of ml.m5.large must be USD per hour, 0 or"):
        toy(prices={"ml.m5.large": price})


def test_price_of_what_is_no_instance_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"pipeline toy: prices: instance_type='m5\.large'"):
        toy(prices={"m5.large": 0.1})
