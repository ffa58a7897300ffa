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


def packed(groups: Iterable[Sequence[Statement]]) -> list[list[Statement]]:
    """Distribute statements over as few policies as IAM's limit of size allows, in any region.

    A group stays together, and the order stays. So a source that is declared last moves no right of the others to
    another policy.

    Args:
        groups: The statements of each fragment of a template.

    Returns:
        The statements of each policy; at least one policy.
    """
    policies: list[list[Statement]] = [[]]
    for group in groups:
        if _characters([*policies[-1], *group]) > _MOST_CHARACTERS:
            policies.append([])
        policies[-1].extend(group)
    return policies


def _characters(statements: Sequence[Statement]) -> int:
    return len(json.dumps(_document(statements, _longest), separators=(",", ":")))


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
        **({"Condition": _resolved(first.condition, resolved)} if first.condition else {}),
    }


def _resolved(condition: Mapping[str, Any], resolved: Any) -> dict[str, Any]:
    return {
        operator: {key: resolved(value) if isinstance(value, str) else value for key, value in tests.items()}
        for operator, tests in condition.items()
    }


def _longest(text: str) -> str:
    for name, value in _LONGEST.items():
        text = text.replace(name, value)
    return text
