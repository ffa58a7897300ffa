"""Records every call that the code makes to AWS, and returns the rights that each of them needs.

The rights are those of the service authorization reference ("Actions, resources, and condition keys for AWS services").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

from sluice.aws.clients import Aws
from sluice.aws.wire import BucketWire, SqsWire

_HERE = "us-east-1:000000000000"
_S3 = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "PutObject": "PutObject",
}
_SAGEMAKER = {
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "HyperParameterTuningJobName": "hyper-parameter-tuning-job",
    "ModelName": "model",
    "ModelPackageArn": "model-package",
    "ModelPackageGroupName": "model-package-group",
    "ModelPackageName": "model-package",
    "TrainingJobName": "training-job",
    "TransformJobName": "transform-job",
}


@dataclass(frozen=True)
class Call:
    """A call of an operation, as its parameters were given to the client."""

    service: str
    operation: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class RecordingAws(Aws):
    """Makes clients that record each call; ``calls`` grows."""

    calls: list[Call] = field(default_factory=list)

    def make_client(self, service: str) -> Any:
        client = super().make_client(service)
        client.meta.events.register("provide-client-params", self._note_parameters)
        client.meta.events.register("before-call", self._called)
        return client

    def _note_parameters(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["parameters"] = dict(params)

    def _called(self, model: Any, context: dict[str, Any], **_: Any) -> None:
        """Record the call; an address that is only signed is none."""
        self.calls.append(Call(model.service_model.service_name, model.name, context["parameters"]))

    @contextmanager
    def on_the_wire(self) -> Iterator[None]:
        """Record the project's own signed requests as well."""
        send, put, get, list_objects = SqsWire.call, BucketWire.put, BucketWire.get, BucketWire.list

        def call(wire: SqsWire, operation: str, parameters: Mapping[str, Any]) -> Any:
            self.calls.append(Call("sqs", operation, parameters))
            return send(wire, operation, parameters)

        def put_object(wire: BucketWire, key: str, body: bytes, conditions: Mapping[str, str]) -> str | None:
            self.calls.append(Call("s3", "PutObject", _address(wire, key)))
            return put(wire, key, body, conditions)

        def get_object(wire: BucketWire, key: str) -> Any:
            self.calls.append(Call("s3", "GetObject", _address(wire, key)))
            return get(wire, key)

        def list_some(wire: BucketWire, parameters: Mapping[str, Any]) -> Any:
            self.calls.append(Call("s3", "ListObjectsV2", {"Bucket": _address(wire, "")["Bucket"]}))
            return list_objects(wire, parameters)

        with (
            patch.object(SqsWire, "call", call),
            patch.object(BucketWire, "put", put_object),
            patch.object(BucketWire, "get", get_object),
            patch.object(BucketWire, "list", list_some),
        ):
            yield


def _address(wire: BucketWire, key: str) -> Mapping[str, str]:
    bucket, _, path = unquote(wire.path(key)).removeprefix("/").partition("/")
    return {"Bucket": bucket, "Key": path}


def rights(call: Call) -> set[tuple[str, str]]:
    """Return the actions that the policy must allow the caller, each with its ARN."""
    needed: set[tuple[str, str]] = _RIGHTS[call.service](call.operation, call.parameters)
    return needed


def _of_sqs(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    name = parameters["QueueUrl"].rpartition("/")[2]
    return {(f"sqs:{operation.removesuffix('Batch')}", f"arn:aws:sqs:{_HERE}:{name}")}


def _of_s3(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    target = f"arn:aws:s3:::{parameters['Bucket']}"
    if operation == "DeleteObjects":
        return {("s3:DeleteObject", f"{target}/{each['Key']}") for each in parameters["Delete"]["Objects"]}
    if operation == "CopyObject":
        source = "arn:aws:s3:::{Bucket}/{Key}".format(**parameters["CopySource"])
        # By default, the tags of the source are copied as well (Amazon S3 API reference, CopyObject, "Permissions").
        tags = set() if parameters.get("TaggingDirective") == "REPLACE" else {("s3:GetObjectTagging", source)}
        return {("s3:GetObject", source), ("s3:PutObject", f"{target}/{parameters['Key']}"), *tags}
    return {(f"s3:{_S3[operation]}", f"{target}/{parameters['Key']}" if "Key" in parameters else target)}


def _of_ssm(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(f"ssm:{operation}", f"arn:aws:ssm:{_HERE}:parameter{parameters['Path']}")}


def _of_sns(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(f"sns:{operation.removesuffix('Batch')}", parameters["TopicArn"])}


def _of_kinesis(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    if operation == "SubscribeToShard":
        return {("kinesis:SubscribeToShard", parameters["ConsumerARN"])}
    if operation == "DescribeStreamConsumer":
        consumer = f"{parameters['StreamARN']}/consumer/{parameters['ConsumerName']}:1"
        return {("kinesis:DescribeStreamConsumer", consumer)}
    # An iterator also names its stream, in Kinesis's own form; here there is one stream.
    stream = parameters.get("StreamName", "life-stream")
    return {(f"kinesis:{operation}", f"arn:aws:kinesis:{_HERE}:stream/{stream}")}


def _of_sagemaker(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    # ARNs have these names in lower case.
    named = {
        kind: f"arn:aws:sagemaker:{_HERE}:{kind}/{_name(kind, parameters[member])}"
        for member, kind in _SAGEMAKER.items()
        if member in parameters
    }
    if not named:
        return {(f"sagemaker:{operation}", "*")}  # a list
    needed = {(f"sagemaker:{operation}", arn) for arn in named.values()}
    if "Tags" in parameters:
        made = operation.removeprefix("Create")
        needed.add(("sagemaker:AddTags", named[_SAGEMAKER[f"{made}Name"]]))
    passing = {**parameters, **parameters.get("TrainingJobDefinition", {})}
    return needed | {
        ("iam:PassRole", passing[member]) for member in ("RoleArn", "ExecutionRoleArn") if member in passing
    }


def _name(kind: str, name_or_arn: str) -> str:
    """Return the name of a resource, of which a request may give the ARN."""
    return (name_or_arn.partition(f":{kind}/")[2] or name_or_arn).lower()


def _of_logs(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    group = f"arn:aws:logs:{_HERE}:log-group:{parameters['logGroupName']}"
    stream = parameters.get("logStreamName")
    return {(f"logs:{operation}", f"{group}:log-stream:{stream}" if stream else f"{group}:*")}


def _of_cloudwatch(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(f"cloudwatch:{operation}", "*")}


def _of_service_quotas(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(f"servicequotas:{operation}", "*")}


def _of_autoscaling(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(f"application-autoscaling:{operation}", "*")}


def _of_lambda(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    action = "InvokeFunction" if operation == "Invoke" else operation
    return {(f"lambda:{action}", f"arn:aws:lambda:{_HERE}:function:{parameters['FunctionName']}")}


def _of_ecs(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    if operation == "RunTask":
        needed = {("ecs:RunTask", f"arn:aws:ecs:{_HERE}:task-definition/{parameters['taskDefinition']}:1")}
        return needed | {("ecs:TagResource", f"arn:aws:ecs:{_HERE}:task/{parameters['cluster']}/1")}
    tasks = [*parameters.get("tasks", ()), *([parameters["task"]] if "task" in parameters else ())]
    return {(f"ecs:{operation}", task) for task in tasks or ["*"]}


def _of_states(operation: str, parameters: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(f"states:{operation}", parameters.get("stateMachineArn") or parameters["executionArn"])}


_RIGHTS: Mapping[str, Any] = {
    "application-autoscaling": _of_autoscaling,
    "cloudwatch": _of_cloudwatch,
    "ecs": _of_ecs,
    "kinesis": _of_kinesis,
    "lambda": _of_lambda,
    "logs": _of_logs,
    "s3": _of_s3,
    "sagemaker": _of_sagemaker,
    "sagemaker-runtime": _of_sagemaker,
    "service-quotas": _of_service_quotas,
    "sns": _of_sns,
    "sqs": _of_sqs,
    "ssm": _of_ssm,
    "stepfunctions": _of_states,
}
