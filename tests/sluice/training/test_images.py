"""The image of the built-in algorithm, by region."""

from __future__ import annotations

import re

import pytest

from sluice.errors import MissingResource
from sluice.training.images import builtin_image


@pytest.mark.parametrize(
    ("region", "uri"),
    [
        ("us-east-1", "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0"),
        ("cn-north-1", "450853457545.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-xgboost:3.2-0"),
    ],
)
def test_uri_is_the_one_that_aws_documents(region: str, uri: str) -> None:
    assert builtin_image("xgboost", "3.2-0", region) == uri
    assert re.fullmatch(r"\d{12}\.dkr\.ecr\..*", uri)


def test_region_without_the_image_is_reported_with_the_regions_that_have_it() -> None:
    with pytest.raises(MissingResource, match=r"not kept in region 'mars-1'; set AWS_DEFAULT_REGION to one of"):
        builtin_image("xgboost", "3.2-0", "mars-1")
