"""Filters, order and pages of List operations."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.sagemaker.api.listing import page
from localcloud.service_model.errors import ServiceError

JOBS: list[dict[str, Any]] = [
    {"Name": f"job-{letter}", "State": state, "CreationTime": time, "LastModifiedTime": time + 10}
    for letter, state, time in (("a", "Done", 3.0), ("b", "Failed", 1.0), ("c", "Done", 2.0))
]
JOBS[0]["ResourceConfig"] = {"TrainingPlanArn": "arn:plan"}
JOBS[2]["WarmPoolStatus"] = {"Status": "Available"}


def listed(request: dict[str, Any]) -> dict[str, Any]:
    return page(JOBS, request, answer="Jobs", name="Name", members=("Name", "Absent"), status="State")


def names(request: dict[str, Any]) -> list[str]:
    return [job["Name"] for job in listed(request)["Jobs"]]


def test_the_newest_comes_first_by_default() -> None:
    assert names({}) == ["job-a", "job-c", "job-b"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"SortOrder": "Ascending"}, ["job-b", "job-c", "job-a"]),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, ["job-a", "job-b", "job-c"]),
        ({"SortBy": "Status", "SortOrder": "Ascending"}, ["job-a", "job-c", "job-b"]),
        ({"NameContains": "-B"}, ["job-b"]),
        ({"StatusEquals": "Done"}, ["job-a", "job-c"]),
        ({"CreationTimeAfter": 2.0}, ["job-a", "job-c"]),
        ({"CreationTimeBefore": 1.5}, ["job-b"]),
        ({"LastModifiedTimeAfter": 12.5}, ["job-a"]),
        ({"LastModifiedTimeBefore": 11.0}, ["job-b"]),
        ({"WarmPoolStatusEquals": "Available"}, ["job-c"]),
        ({"WarmPoolStatusEquals": "InUse"}, []),
        ({"TrainingPlanArnEquals": "arn:plan"}, ["job-a"]),
    ],
)
def test_a_request_filters_and_sorts(request_: dict[str, Any], expected: list[str]) -> None:
    assert names(request_) == expected


def test_pages_follow_one_another_and_end() -> None:
    first = listed({"MaxResults": 2})
    second = listed({"MaxResults": 2, "NextToken": first["NextToken"]})
    assert [job["Name"] for job in first["Jobs"] + second["Jobs"]] == ["job-a", "job-c", "job-b"]
    assert "NextToken" not in second


def test_absent_members_are_left_out() -> None:
    assert listed({"NameContains": "-a"})["Jobs"] == [{"Name": "job-a"}]


@pytest.mark.parametrize("token", ["not ours", "", "LTU=", "MS41", "é"], ids=["text", "empty", "-5", "1.5", "no ASCII"])
def test_a_foreign_token_is_refused(token: str) -> None:
    with pytest.raises(ServiceError, match=f"Invalid pagination token: {token}"):
        listed({"NextToken": token})
