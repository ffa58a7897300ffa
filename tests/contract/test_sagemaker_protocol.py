"""What no client of AWS's own would send, and what every answer bears: the control plane on the wire."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.conftest import Cloud
from tests.contract import training

ARN = "arn:aws:sagemaker:us-east-1:000000000000"


@dataclass(frozen=True)
class Answer:
    status: int
    content: dict[str, Any]


def send(cloud: Cloud, operation: str, **request: Any) -> Answer:
    """Ask as it is, without the checks of a client."""
    address = urlsplit(cloud.sagemaker_endpoint_url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    try:
        connection.request("POST", "/", json.dumps(request), {"X-Amz-Target": f"SageMaker.{operation}"})
        answer = connection.getresponse()
        return Answer(answer.status, json.loads(answer.read() or b"{}"))
    finally:
        connection.close()


def test_members_of_other_operations_are_ignored(cloud: Cloud, data: training.Data, name: str) -> None:
    assert send(cloud, "ListModels", LastModifiedTimeAfter=0, StatusEquals="x").status == 200
    job: Any = training.request(name, data)
    assert send(cloud, "CreateTrainingJob", SecondaryStatusTransitions=5, **job).status == 200
    assert send(cloud, "CreateModelPackageGroup", ModelPackageGroupName=name, Versions="x").status == 200
    created = send(cloud, "CreateModelPackage", ModelPackageGroupName=name)
    assert created == Answer(200, {"ModelPackageArn": f"{ARN}:model-package/{name}/1"})
