"""Makes IAM policies from statements."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from troposphere import Sub

from sluice.aws.template import Statement
from sluice.errors import DeclarationError

# IAM user guide, "IAM and AWS STS quotas"; white space does not count.
_MOST_CHARACTERS = 6144
# The longest values of these references. CloudFormation generates a part of a role's name.
_LONGEST: Mapping[str, str] = {
    "${AWS::Partition}": "aws-us-gov",
    "${AWS::Region}": "ap-southeast-1",
    "${AWS::AccountId}": "123456789012",
    "${TrainingRole.Arn}": "r" * 120,
}


def policy_document(statements: Iterable[Statement]) -> dict[str, Any]:
    """Make a policy document from statements. Those with the same ``sid`` are merged.

    Raises:
        DeclarationError: statements with the same ``sid`` have other actions or another condition.
    """
    return _document(statements, lambda text: Sub(text) if "${" in text else text)


def check_size(pipeline: str, statements: Iterable[Statement]) -> None:
    """Check that the workers' policy fits into IAM's limit in every region.

    Args:
        pipeline: The name of the pipeline, for the error message.
        statements: The statements of the policy.

    Raises:
        DeclarationError: the policy may be longer than IAM allows.
    """
    characters = len(json.dumps(_document(statements, _longest), separators=(",", ":")))
    if characters > _MOST_CHARACTERS:
        raise DeclarationError(
            f"pipeline {pipeline}: the workers' policy would have up to {characters:,} characters, and IAM allows "
            f"{_MOST_CHARACTERS:,}: declare fewer sources, or split the pipeline"
        )


def _document(statements: Iterable[Statement], resolved: Any) -> dict[str, Any]:
    by_sid: dict[str, list[Statement]] = {}
    for statement in statements:
        by_sid.setdefault(statement.sid, []).append(statement)
    return {"Version": "2012-10-17", "Statement": [_merged(same, resolved) for same in by_sid.values()]}


def _merged(same: Sequence[Statement], resolved: Any) -> dict[str, Any]:
    first = same[0]
    if any((each.actions, each.condition) != (first.actions, first.condition) for each in same):
        raise DeclarationError(f"two parts of the policy are called {first.sid} but allow different things; rename one")
    return {
        "Sid": first.sid,
        "Effect": "Allow",
        "Action": list(first.actions),
        "Resource": [resolved(each) for statement in same for each in statement.resources],
        **({"Condition": first.condition} if first.condition else {}),
    }


def _longest(text: str) -> str:
    for name, value in _LONGEST.items():
        text = text.replace(name, value)
    return text
