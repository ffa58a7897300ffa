"""What Sluice relies on in the SSM parameter store: all parameters below a path, in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


def test_path_returns_the_parameters_below_it(ssm: SSMClient, name: str) -> None:
    written = {f"/sluice/{name}/flights/{key}": f"value-{key}" for key in [*"abcdefghijkl", "deep/x"]}
    for key, value in written.items():
        ssm.put_parameter(Name=key, Value=value, Type="String")
    ssm.put_parameter(Name=f"/sluice/{name}/flights2/a", Value="a neighbour", Type="String")
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path=f"/sluice/{name}/flights", Recursive=True, PaginationConfig={"PageSize": 10}
    )
    found = {each["Name"]: each["Value"] for page in pages for each in page["Parameters"]}
    assert found == written


def test_without_recursion_only_the_next_level_is_returned(ssm: SSMClient, name: str) -> None:
    for key in ("a", "deep/b"):
        ssm.put_parameter(Name=f"/sluice/{name}/{key}", Value="v", Type="String")
    answer = ssm.get_parameters_by_path(Path=f"/sluice/{name}", Recursive=False)
    assert [each["Name"] for each in answer["Parameters"]] == [f"/sluice/{name}/a"]


def test_overwriting_raises_the_version(ssm: SSMClient, name: str) -> None:
    ssm.put_parameter(Name=f"/sluice/{name}", Value="1", Type="String")
    with pytest.raises(ssm.exceptions.ParameterAlreadyExists):
        ssm.put_parameter(Name=f"/sluice/{name}", Value="2", Type="String")
    ssm.put_parameter(Name=f"/sluice/{name}", Value="2", Type="String", Overwrite=True)
    parameter = ssm.get_parameter(Name=f"/sluice/{name}")["Parameter"]
    assert (parameter["Value"], parameter["Version"]) == ("2", 2)


def test_missing_parameter_has_an_error_of_its_own(ssm: SSMClient, name: str) -> None:
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name=f"/sluice/{name}/nothing")
