"""Requests that are nearly valid: valid ones, changed at random into what no client would send."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.testing import training

ODD_VALUES: Sequence[Any] = (
    *(
        None,
        True,
        0,
        -1,
        2**63,
        10**400,
        1e308,
        -0.0,
        "",
        " ",
        "\x00",
        "\ud800",
        "a" * 70_000,
        "é漢😀",
        "../../etc/passwd",
    ),
    *(
        "s3://",
        "s3://b",
        "s3://b/../k",
        "s3://A_B!/x",
        "http://127.0.0.1:1/",
        "arn:aws:sagemaker:us-east-1:000000000000:model/x",
        "$(id)",
        "ResourceConfig",
    ),
    *("1e400", "NaN", "-" * 5_000, "a-" * 5_000, [], {}, [[]], {"a": {"b": {}}}, [None] * 1000, {"": ""}),
)
# Members of other operations, or of documents, which no Create request has.
FOREIGN_MEMBERS = (
    *("LastModifiedTimeAfter", "LastModifiedTimeBefore", "StatusEquals", "CreationTime", "LastModifiedTime", "Tags"),
    *("SecondaryStatusTransitions", "FinalMetricDataList", "TrainingJobStatus", "ModelArtifacts", "Served", "Versions"),
    *("ModelPackageVersion", "ModelPackageGroupName", "Deployed", "Wanted", "EndpointStatus", "ModelArn", "Name"),
)
ODD_BODIES: Sequence[bytes] = (
    *(b"", b"{", b"[]", b"null", b'"a"', b"NaN", b'{"a":' * 5_000, b"[" * 100_000, b"\xff\xfe", b"\x00" * 1000),
    *(b'{"TrainingJobName": 1e999}', b'{"TrainingJobName": "\\ud800"}', b'{"NextToken": "LTU="}', b'{"a": 1, "a": 2}'),
)
CONTENT_TYPES = (
    "text/csv",
    "text/libsvm",
    "application/x-recordio-protobuf",
    "application/json",
    "a" * 5000,
    "\x7f",
    "",
)
ROWS: Sequence[bytes] = (
    *(b"0.1,0.2,0.3,0.4", b"0:1 1:2 2:3 3:4", b"0.1,,nan,inf", b"1,2\n1,2,3", b"1e400,0,0,0", b"\x00", b"," * 10_000),
    *(
        b'"1","2","3","4"',
        b"0:1 999999999:1",
        b"-1:1",
        b"0:a",
        b"\xce\xd7\x23\x0a",
        b"\x0a\x23\xd7\xce\xff\xff\xff\x7f",
    ),
    *(b"\x0a\x23\xd7\xce\x04\x00\x00\x00\x0a\x02\x08\x01", b"{}", b'{"instances": [{"features": [1]}]}', "é".encode()),
)


@dataclass(frozen=True)
class Sent:
    """A request as it is sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def valid(data: training.Data, model_data: str) -> dict[str, dict[str, Any]]:
    """Return one request for each operation; those that would start something name what doesn't exist."""
    names = {"NameContains": "a", "MaxResults": 3, "SortBy": "CreationTime", "SortOrder": "Ascending"}
    tags = [{"Key": "k", "Value": "v"}]
    arn = "arn:aws:sagemaker:us-east-1:000000000000:model-package-group/fuzzed"
    location = {"S3DataType": "S3Prefix", "S3Uri": "s3://this-is-missing/in/"}
    container = {"Image": training.IMAGE, "ModelDataUrl": model_data, "Environment": {"A": "b"}}
    variant = {"VariantName": "v", "ModelName": "fuzzed", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    job = training.request("fuzzed", data, Tags=tags, CheckpointConfig={"S3Uri": "s3://b/c"})
    job["InputDataConfig"] = [training.channel("train", "s3://this-is-missing/train/")]
    transform = {
        "TransformJobName": "fuzzed",
        "ModelName": "this-is-missing",
        "TransformInput": {"DataSource": {"S3DataSource": location}, "SplitType": "Line", "ContentType": "text/csv"},
        "TransformOutput": {"S3OutputPath": "s3://this-is-missing/out", "AssembleWith": "Line"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "DataProcessing": {"InputFilter": "$[1:]", "OutputFilter": "$[0,-1]", "JoinSource": "Input"},
    }
    expression = {
        "Filters": [{"Name": "Tags.a", "Operator": "Equals", "Value": "b"}],
        "NestedFilters": [{"NestedPropertyName": "InputDataConfig", "Filters": [{"Name": "a.b", "Value": "c"}]}],
        "SubExpressions": [{"Filters": [{"Name": "CreationTime", "Operator": "GreaterThan", "Value": "2026-01-01"}]}],
    }
    return {
        "CreateTrainingJob": job,
        "DescribeTrainingJob": {"TrainingJobName": "a-completed-job"},
        "StopTrainingJob": {"TrainingJobName": "a-completed-job"},
        "ListTrainingJobs": {**names, "StatusEquals": "Completed", "CreationTimeAfter": 1.0, "NextToken": "MQ=="},
        "CreateTransformJob": transform,
        "ListTransformJobs": names,
        "CreateModel": {"ModelName": "fuzzed", "ExecutionRoleArn": training.ROLE, "PrimaryContainer": container},
        "DescribeModel": {"ModelName": "fuzzed"},
        "ListModels": names,
        "CreateEndpointConfig": {"EndpointConfigName": "fuzzed", "ProductionVariants": [variant]},
        "DescribeEndpointConfig": {"EndpointConfigName": "fuzzed"},
        "ListEndpointConfigs": names,
        "CreateEndpoint": {"EndpointName": "fuzzed", "EndpointConfigName": "this-is-missing"},
        "UpdateEndpoint": {"EndpointName": "fuzzed", "EndpointConfigName": "this-is-missing"},
        "DescribeEndpoint": {"EndpointName": "fuzzed"},
        "ListEndpoints": names,
        "CreateModelPackageGroup": {"ModelPackageGroupName": "fuzzed", "Tags": tags},
        "CreateModelPackage": {
            "ModelPackageGroupName": "fuzzed",
            "InferenceSpecification": {"Containers": [container]},
            "CustomerMetadataProperties": {"a": "b"},
        },
        "UpdateModelPackage": {
            "ModelPackageArn": "arn:aws:sagemaker:us-east-1:000000000000:model-package/fuzzed/1",
            "ModelApprovalStatus": "Approved",
        },
        "ListModelPackages": {"ModelPackageGroupName": "fuzzed", **names},
        "Search": {"Resource": "TrainingJob", "SearchExpression": expression, "SortBy": "HyperParameters.eta"},
        "AddTags": {"ResourceArn": arn, "Tags": tags},
        "ListTags": {"ResourceArn": arn},
        "DeleteTags": {"ResourceArn": arn, "TagKeys": ["k"]},
        "DescribeTransformJob": {"TransformJobName": "fuzzed"},
        "StopTransformJob": {"TransformJobName": "fuzzed"},
        "UpdateEndpointWeightsAndCapacities": {
            "EndpointName": "fuzzed",
            "DesiredWeightsAndCapacities": [{"VariantName": "v", "DesiredWeight": 1.0, "DesiredInstanceCount": 1}],
        },
        "DescribeModelPackageGroup": {"ModelPackageGroupName": "fuzzed"},
        "ListModelPackageGroups": names,
        "DescribeModelPackage": {"ModelPackageName": "fuzzed"},
        **{
            f"Delete{kind}": {f"{kind}Name": "fuzzed"}
            for kind in ("TrainingJob", "Model", "EndpointConfig", "Endpoint", "ModelPackage", "ModelPackageGroup")
        },
    }


class Mutator:
    """Makes requests, the same ones from the same seed."""

    def __init__(self, seed: int, requests: Mapping[str, dict[str, Any]], endpoint: str) -> None:
        self._random = random.Random(seed)
        self._requests = requests
        self._endpoint = endpoint

    def request(self) -> Sent:
        """Return the next request: of the control plane, of the runtime, or to an unknown path."""
        chosen = self._random.random()
        if chosen < 0.7:
            return self._control()
        return self._invocation() if chosen < 0.95 else self._stray()

    def _control(self) -> Sent:
        operation = self._random.choice(sorted(self._requests))
        content = json.loads(json.dumps(self._requests[operation]))
        for _ in range(self._random.randint(1, 3)):
            self._change(content)
        body = json.dumps(content).encode()
        target = f"SageMaker.{operation}"
        match self._random.randrange(20):
            case 0:
                body = self._random.choice(ODD_BODIES)
            case 1:
                body = self._damaged(body)
            case 2:
                target = self._random.choice(
                    ["SageMaker.", "sagemaker.ListModels", "SageMaker.__class__", "x" * 5000, ""]
                )
        return Sent("POST", "/", {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}, body)

    def _invocation(self) -> Sent:
        headers = {
            "Content-Type": self._random.choice(CONTENT_TYPES),
            "Accept": self._random.choice((*CONTENT_TYPES, "*/*")),
            "X-Amzn-SageMaker-Target-Variant": self._random.choice(("all", "none", "\x7f")),
            "X-Amzn-SageMaker-Custom-Attributes": self._random.choice(("a=b", "a" * 2000)),
        }
        kept = {name: value for name, value in headers.items() if self._random.random() < 0.6}
        body = self._random.choice(ROWS)
        if self._random.random() < 0.3:
            body = self._damaged(body)
        name = self._random.choice((self._endpoint, self._endpoint, "this-is-missing", "%00", "a" * 3000, ".."))
        return Sent("POST", f"/endpoints/{name}/invocations", kept, body)

    def _stray(self) -> Sent:
        method = self._random.choice(("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"))
        path = self._random.choice(
            ("/", "/endpoints", "/endpoints//invocations", "/" + "a" * 5000, "/%ff", "/../x", "/?a=%")
        )
        return Sent(method, path, {}, b"x" * self._random.choice((0, 10)))

    def _change(self, content: Any) -> None:
        """Replace, remove, rename or add a member, anywhere."""
        holder = self._random.choice(list(_holders(content)))
        if isinstance(holder, dict) and self._random.random() < 0.2:
            holder[self._random.choice(FOREIGN_MEMBERS)] = copy.deepcopy(self._random.choice(ODD_VALUES))
            return
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = self._random.choice(keys)
        match self._random.randrange(4):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[f"{key}\x00" if self._random.random() < 0.5 else str(key).lower()] = holder.pop(key)
            case _:
                holder[key] = copy.deepcopy(self._random.choice(ODD_VALUES))

    def _damaged(self, body: bytes) -> bytes:
        damaged = bytearray(body)
        for _ in range(self._random.randint(1, 5)):
            if damaged:
                damaged[self._random.randrange(len(damaged))] = self._random.randrange(256)
        return bytes(damaged[: self._random.randint(0, len(damaged))])


def _holders(content: Any) -> Any:
    if isinstance(content, dict):
        yield content
        for value in content.values():
            yield from _holders(value)
    elif isinstance(content, list):
        yield content
        for value in content:
            yield from _holders(value)
