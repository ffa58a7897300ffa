"""Creates and updates the CloudFormation stack of a pipeline, from the template of its declaration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryError, Retrying, retry_if_exception, retry_if_result, stop_after_delay, wait_fixed

from sluice.aws.clients import Aws
from sluice.aws.failures import explain, is_throttled
from sluice.compute.artefacts import NONE, Artefacts
from sluice.declaration.pipeline import Pipeline
from sluice.errors import SluiceError
from sluice.provisioning.template import render, template_body

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ResourceChangeTypeDef, StackEventTypeDef, StackTypeDef

_SECONDS_BETWEEN_POLLS = 1
_LONGEST_WAIT = 600  # seconds
_DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
_CHANGE_SET = "sluice-dry-run"
_MODIFIED = {"False": "Modify", "Conditional": "Modify or replace", "True": "Replace"}
_NO_CHANGE = ("didn't contain changes", "No updates are to be performed")


class ProvisioningFailed(SluiceError):
    """CloudFormation could not be reached, or the stack could not be created or updated."""


def stack_name(pipeline: str) -> str:
    """Return the name of the pipeline's stack. CloudFormation allows no underscore in it."""
    return f"sluice-{pipeline.replace('_', '-')}"


@dataclass(frozen=True)
class Change:
    """What an update would do to one resource.

    Attributes:
        action: ``Add``, ``Modify``, ``Replace`` or ``Remove``. A resource that is replaced loses its content. ``Modify
            or replace`` means that CloudFormation can decide only during the update.
        resource: The logical id.
        kind: The type, such as ``AWS::SQS::Queue``.
    """

    action: str
    resource: str
    kind: str


def provision(aws: Aws, pipeline: Pipeline, artefacts: Artefacts = NONE) -> Mapping[str, str]:
    """Create the pipeline's stack, or update it to the declaration, and wait until that is done.

    A stack that is up to date is not changed. If another change is in progress, this waits for it first. Each wait
    lasts at most 10 minutes. If the first creation fails, the stack is deleted, so that it can be created again.

    Args:
        aws: The clients of the pipeline's account and region.
        pipeline: The declaration.
        artefacts: What runs on Lambda and Fargate, where AWS finds it; only a pipeline that declares such needs it.

    Returns:
        The stack's outputs by name: ``Bucket``, ``Topic``, ``CompletionsQueue``, ``WorkerPolicy``, those of the
        sources, and ``Role`` where the pipeline trains.

    Raises:
        DeclarationError: AWS would refuse the template; no call was made.
        ProvisioningFailed: CloudFormation can't be reached or refuses, a resource fails (the message names the first
            one and why), or the stack isn't done in time.
    """
    cloudformation, name, body = (
        aws.client("cloudformation"),
        stack_name(pipeline.name),
        template_body(pipeline, artefacts),
    )
    with _explained(pipeline):
        current = _settled(cloudformation, name)
        if current is None:
            stack_id = _create(cloudformation, name, body)
        elif not _update(cloudformation, name, body):
            return _outputs(current)
        else:
            stack_id = current["StackId"]
        changed = _settled(cloudformation, stack_id)
        if changed is None or changed["StackStatus"] not in _DONE:
            raise ProvisioningFailed(
                f"stack {name}: {_first_failure(cloudformation, stack_id)}; "
                f"correct that and run `sluice provision {pipeline.name}` again"
            )
        return _outputs(changed)


def changes(aws: Aws, pipeline: Pipeline, artefacts: Artefacts = NONE) -> list[Change]:
    """List what :func:`provision` would change, by a change set of CloudFormation. Nothing is changed.

    If there is no stack, every resource of the template is added.

    Args:
        aws: The clients of the pipeline's account and region.
        pipeline: The declaration.
        artefacts: What runs on Lambda and Fargate, where AWS finds it; only a pipeline that declares such needs it.

    Raises:
        DeclarationError: AWS would refuse the template.
        ProvisioningFailed: CloudFormation can't be reached or refuses.
    """
    cloudformation, name, body = (
        aws.client("cloudformation"),
        stack_name(pipeline.name),
        template_body(pipeline, artefacts),
    )
    with _explained(pipeline):
        if _settled(cloudformation, name) is None:
            made = render(pipeline, artefacts).to_dict()["Resources"]
            return [Change("Add", resource, made[resource]["Type"]) for resource in sorted(made)]
        return _change_set(cloudformation, name, body)


@contextmanager
def _explained(pipeline: Pipeline) -> Iterator[None]:
    """Raise failures of CloudFormation as ProvisioningFailed, in one line."""
    name, again = stack_name(pipeline.name), f"then run `sluice provision {pipeline.name}` again"
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise ProvisioningFailed(f"stack {name}: {explain(error)}; {again}") from error
    except RetryError as error:
        last = error.last_attempt.exception()
        found = f"still changing after {_LONGEST_WAIT} s; see its events" if last is None else explain(last)
        raise ProvisioningFailed(f"stack {name}: {found}; {again}") from error


def _create(cloudformation: CloudFormationClient, name: str, body: str) -> str:
    created = cloudformation.create_stack(
        StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"], OnFailure="DELETE"
    )
    return created["StackId"]


def _update(cloudformation: CloudFormationClient, name: str, body: str) -> bool:
    """Start an update; return False if there is nothing to change."""
    try:
        cloudformation.update_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    except ClientError as error:
        if "No updates are to be performed" in error.response["Error"]["Message"]:
            return False
        raise
    return True


def _change_set(cloudformation: CloudFormationClient, name: str, body: str) -> list[Change]:
    """Return the changes of a new change set.

    It is deleted afterwards. A change set that an earlier call left behind is deleted first.
    """
    change_set: Any = {"StackName": name, "ChangeSetName": _CHANGE_SET}
    cloudformation.delete_change_set(**change_set)
    cloudformation.create_change_set(**change_set, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    try:
        made = _polling(lambda found: found["Status"].endswith(("_PENDING", "_IN_PROGRESS")))(
            cloudformation.describe_change_set, **change_set
        )
        if made["Status"] == "FAILED" and not any(words in made["StatusReason"] for words in _NO_CHANGE):
            raise ProvisioningFailed(f"stack {name}: {made['StatusReason']}; correct that and try again")
        pages = cloudformation.get_paginator("describe_change_set").paginate(**change_set)
        found = (_change(each["ResourceChange"]) for page in pages for each in page["Changes"])
        return sorted(found, key=lambda change: change.resource)
    finally:
        cloudformation.delete_change_set(**change_set)


def _change(change: ResourceChangeTypeDef) -> Change:
    action: str = change["Action"]
    if action == "Modify":
        action = _MODIFIED[change.get("Replacement", "False")]
    return Change(action, change["LogicalResourceId"], change["ResourceType"])


def _settled(cloudformation: CloudFormationClient, stack: str) -> StackTypeDef | None:
    """Wait until no change of a stack is in progress, and return the stack; None if there is none.

    Args:
        cloudformation: A client of CloudFormation.
        stack: The name or the id of the stack.
    """
    settle = _polling(lambda found: found is not None and found["StackStatus"].endswith("_IN_PROGRESS"))
    return settle(_describe, cloudformation, stack)


def _polling(is_changing: Callable[[Any], bool]) -> Retrying:
    """Return a policy that polls while ``is_changing`` or throttled, once a second, for at most 10 minutes."""
    return Retrying(
        retry=retry_if_result(is_changing) | retry_if_exception(is_throttled),
        wait=wait_fixed(_SECONDS_BETWEEN_POLLS),
        stop=stop_after_delay(_LONGEST_WAIT),
    )


def _describe(cloudformation: CloudFormationClient, stack: str) -> StackTypeDef | None:
    try:
        return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Message"].endswith("does not exist"):
            return None
        raise


def _first_failure(cloudformation: CloudFormationClient, stack_id: str) -> str:
    """Return the first failure in the latest change of the stack, which has caused all later ones."""
    failures = [
        event for event in _latest_change(cloudformation, stack_id) if event["ResourceStatus"].endswith("_FAILED")
    ]
    if not failures:
        return "it was rolled back, and no resource is reported to have failed"
    first = failures[-1]
    if first.get("PhysicalResourceId") == stack_id:
        return _validation_error(cloudformation, stack_id) or first["ResourceStatusReason"]
    reason = first.get("ResourceStatusReason", "no reason is given")
    return f"{first['LogicalResourceId']} ({first['ResourceType']}) failed: {reason}"


def _validation_error(cloudformation: CloudFormationClient, stack_id: str) -> str | None:
    """Return the error that CloudFormation found before it began. Only these events have it."""
    pages = cloudformation.get_paginator("describe_events").paginate(StackName=stack_id, Filters={"FailedEvents": True})
    for page in pages:
        for event in page["OperationEvents"]:
            if event.get("EventType") == "VALIDATION_ERROR":
                return f"{event['LogicalResourceId']} is not valid: {event['ValidationStatusReason']}"
    return None


def _latest_change(cloudformation: CloudFormationClient, stack_id: str) -> Iterator[StackEventTypeDef]:
    """Yield the events since the latest change of the stack began, newest first."""
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
        for event in page["StackEvents"]:
            yield event
            begun = event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
            if begun and event.get("PhysicalResourceId") == stack_id:
                return


def _outputs(stack: StackTypeDef) -> Mapping[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
