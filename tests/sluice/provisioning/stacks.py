"""What exists at AWS, listed by the services themselves, and policies as IAM reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.conftest import Cloud

ACCOUNT, REGION = "000000000000", "us-east-1"


def bucket_of(pipeline: str) -> str:
    return f"sluice-{pipeline.replace('_', '-')}-{ACCOUNT}-{REGION}"


def made(cloud: Cloud, pipeline: str) -> Mapping[str, set[str]]:
    """Return the names of everything in the account that has the pipeline's name, by service."""
    slug = pipeline.replace("_", "-")
    queues = cloud.client("sqs").list_queues(QueueNamePrefix=f"{pipeline}-").get("QueueUrls", [])
    streams = cloud.client("kinesis").list_streams()["StreamNames"]
    topics = [each["TopicArn"].rpartition(":")[2] for each in cloud.client("sns").list_topics()["Topics"]]
    parameters = cloud.client("ssm").get_paginator("get_parameters_by_path")
    pages = parameters.paginate(Path=f"/sluice/{pipeline}", Recursive=True)
    iam = cloud.client("iam")
    return {
        "buckets": {each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"]} & {bucket_of(pipeline)},
        "queues": {url.rpartition("/")[2] for url in queues},
        "streams": {name for name in streams if name.startswith(f"{pipeline}-")},
        "topics": {name for name in topics if name.startswith(f"{pipeline}-")},
        "parameters": {
            each["Name"].removeprefix(f"/sluice/{pipeline}/") for page in pages for each in page["Parameters"]
        },
        "roles": _of_stack(iam.list_roles()["Roles"], "RoleName", slug),
        "policies": _of_stack(iam.list_policies(Scope="Local")["Policies"], "PolicyName", slug),
    }


def _of_stack(found: list[dict[str, Any]], member: str, slug: str) -> set[str]:
    """Return the logical ids in names such as ``sluice-toy-TrainingRole-1A2B``."""
    names = (re.fullmatch(rf"sluice-{slug}-([A-Z][A-Za-z]+)-\w+", each[member]) for each in found)
    return {name[1] for name in names if name}


def worker_policy(cloud: Cloud, arn: str) -> Policy:
    """Return the current policy of an ARN."""
    iam = cloud.client("iam")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return Policy.of(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])


def rights_of_workers(cloud: Cloud, outputs: Mapping[str, str]) -> Policy:
    """Return the rights of all policies of a stack's workers, as one policy."""
    policies = [worker_policy(cloud, arn) for name, arn in outputs.items() if name.startswith("WorkerPolicy")]
    return Policy(tuple(statement for each in policies for statement in each.statements))


def role_policy(cloud: Cloud, role_arn: str) -> Policy:
    """Return the policy of a role of SageMaker's."""
    name = role_arn.rpartition("/")[2]
    return Policy.of(cloud.client("iam").get_role_policy(RoleName=name, PolicyName="train-and-serve")["PolicyDocument"])


@dataclass(frozen=True)
class Policy:
    """A policy that only allows: (actions, resources, condition) of each statement, with everything resolved."""

    statements: tuple[tuple[frozenset[str], frozenset[str], Mapping[str, Any]], ...]

    @classmethod
    def of(cls, document: Any) -> Policy:
        loaded = json.loads(document) if isinstance(document, str) else document
        for each in loaded["Statement"]:
            assert each["Effect"] == "Allow", each
        statements = tuple(
            (_as_set(each["Action"]), _as_set(each["Resource"]), each.get("Condition", {}))
            for each in loaded["Statement"]
        )
        assert not [action for actions, _, _ in statements for action in actions if "*" in action]
        return cls(statements)

    @property
    def actions(self) -> set[str]:
        return {action for actions, _, _ in self.statements for action in actions}

    def resources(self, action: str) -> set[str]:
        """Return the resources on which the policy allows the action."""
        return {each for actions, resources, _ in self.statements if action in actions for each in resources}

    def allows(self, action: str, resource: str) -> bool:
        """Return whether the action is allowed on that ARN. Upper and lower case differ."""
        return any(fnmatchcase(resource, pattern) for pattern in self.resources(action))

    def on_everything(self) -> set[str]:
        """Return the actions that are allowed on every resource."""
        return {action for actions, resources, _ in self.statements if "*" in resources for action in actions}


def _as_set(one_or_many: str | list[str]) -> frozenset[str]:
    return frozenset([one_or_many] if isinstance(one_or_many, str) else one_or_many)
