"""Lambda functions for tests."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.testing.clouds import Cloud
from localcloud.testing.waiting import wait_for

IMAGE_URI = "123456789012.dkr.ecr.us-east-1.amazonaws.com/under-test:1"
"""An image whose name in LOCALCLOUD_IMAGES is ``under-test``."""


@dataclass(frozen=True)
class Invoked:
    """The answer of an invocation.

    Attributes:
        answer: What the function returned, or the error.
        error: The FunctionError, if the function failed.
        log: The last lines of the log.
        request_id: The id of the request.
    """

    answer: Any
    error: str | None
    log: str
    request_id: str


def role(cloud: Cloud, name: str = "function") -> str:
    """Return the ARN of a role that Lambda may assume, and make it if it is missing."""
    iam = cloud.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    try:
        return str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])
    except iam.exceptions.EntityAlreadyExistsException:
        return str(iam.get_role(RoleName=name)["Role"]["Arn"])


def deploy(cloud: Cloud, name: str, **settings: Any) -> str:
    """Create a function of the image ``under-test``, wait until it is active, and return its ARN.

    Args:
        cloud: The cloud.
        name: The function's name.
        settings: Further members of CreateFunction, or others than the default ones.
    """
    request = {
        "PackageType": "Image",
        "Code": {"ImageUri": IMAGE_URI},
        "ImageConfig": {"Command": ["app.handler"]},
        "Role": role(cloud),
        **settings,
    }
    functions = cloud.client("lambda")
    arn = functions.create_function(FunctionName=name, **request)["FunctionArn"]
    settled(cloud, name)
    return str(arn)


def settled(cloud: Cloud, name: str) -> Any:
    """Wait until a function is active and no update of it is under way, and return its configuration."""
    functions = cloud.client("lambda")

    def found() -> Any:
        configuration = functions.get_function_configuration(FunctionName=name)
        states = (configuration["State"], configuration["LastUpdateStatus"])
        return configuration if states == ("Active", "Successful") else None

    return wait_for(found, what=f"settled function {name}")


def zipped(files: Mapping[str, str]) -> bytes:
    """Return a zip of files, given as text by their paths."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return content.getvalue()


def invoke(cloud: Cloud, name: str, event: Any, **options: Any) -> Invoked:
    """Invoke a function, and wait for its answer.

    Args:
        cloud: The cloud.
        name: The function's name or ARN.
        event: The event.
        options: Further members of Invoke.
    """
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail", **options)
    log = base64.b64decode(answer["LogResult"]).decode()
    request_id = answer["ResponseMetadata"]["RequestId"]
    return Invoked(json.loads(answer["Payload"].read()), answer.get("FunctionError"), log, request_id)


def send(cloud: Cloud, name: str, event: Any) -> str:
    """Invoke a function asynchronously, and return the id of the request."""
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), InvocationType="Event")
    assert answer["StatusCode"] == 202
    return str(answer["ResponseMetadata"]["RequestId"])
