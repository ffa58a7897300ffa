"""Makes what a pipeline needs at AWS: one CloudFormation stack, from ``include/cloud/pipeline.yaml``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryError, Retrying, retry_if_exception, retry_if_result, stop_after_delay, wait_fixed

from sluice.aws.failures import explain, is_throttled
from sluice.errors import SluiceError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackEventTypeDef, StackTypeDef

TEMPLATE = Path(__file__).parents[2] / "cloud" / "pipeline.yaml"

_SECONDS_BETWEEN_LOOKS = 1
_LONGEST_WAIT = 600
_DONE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


class ProvisioningFailed(SluiceError):
    """CloudFormation could not be reached, or it did not make the stack."""


def stack_name(pipeline: str) -> str:
    """The name of the pipeline's stack. CloudFormation allows no underscore in it."""
    return f"sluice-{pipeline.replace('_', '-')}"


def provision(cloudformation: CloudFormationClient, pipeline: str) -> Mapping[str, str]:
    """Creates the pipeline's stack, or brings it up to date with the template, and waits until it is done.

    A stack that is up to date is left alone; parameters that were set on it stay as they are. A change that
    is under way already is waited for. Each wait lasts at most 10 minutes. A first creation that fails is
    deleted again, so that it can be tried again.

    Returns:
        The stack's outputs by name; the template lists them.

    Raises:
        ProvisioningFailed: CloudFormation can't be reached or refuses, a resource fails (the message names
            the first one and why), or the stack isn't done in time.
    """
    name = stack_name(pipeline)
    try:
        current = _settled(cloudformation, name)
        if current is None:
            stack_id = _create(cloudformation, name, pipeline)
        elif not _update(cloudformation, current, pipeline):
            return _outputs(current)
        else:
            stack_id = current["StackId"]
        changed = _settled(cloudformation, stack_id)
        if changed is None or changed["StackStatus"] not in _DONE:
            raise ProvisioningFailed(
                f"stack {name}: {_first_failure(cloudformation, stack_id)}; "
                f"mend that and run `sluice provision {pipeline}` again"
            )
        return _outputs(changed)
    except (BotoCoreError, ClientError) as error:
        raise ProvisioningFailed(
            f"stack {name}: {explain(error)}; then run `sluice provision {pipeline}` again"
        ) from error
    except RetryError as error:
        last = error.last_attempt.exception()
        found = f"still changing after {_LONGEST_WAIT} s; look at its events" if last is None else explain(last)
        raise ProvisioningFailed(f"stack {name}: {found}; then run `sluice provision {pipeline}` again") from error


def _create(cloudformation: CloudFormationClient, name: str, pipeline: str) -> str:
    created = cloudformation.create_stack(
        StackName=name,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[_parameter(pipeline)],
        Capabilities=["CAPABILITY_IAM"],
        OnFailure="DELETE",
    )
    return created["StackId"]


def _update(cloudformation: CloudFormationClient, current: StackTypeDef, pipeline: str) -> bool:
    """Starts an update; False if there is nothing to do."""
    kept: list[ParameterTypeDef] = [
        {"ParameterKey": parameter["ParameterKey"], "UsePreviousValue": True}
        for parameter in current.get("Parameters", [])
        if parameter["ParameterKey"] != "Pipeline"
    ]
    try:
        cloudformation.update_stack(
            StackName=current["StackName"],
            TemplateBody=TEMPLATE.read_text(),
            Parameters=[_parameter(pipeline), *kept],
            Capabilities=["CAPABILITY_IAM"],
        )
    except ClientError as error:
        if "No updates are to be performed" in error.response["Error"]["Message"]:
            return False
        raise
    return True


def _parameter(pipeline: str) -> ParameterTypeDef:
    return {"ParameterKey": "Pipeline", "ParameterValue": pipeline}


def _settled(cloudformation: CloudFormationClient, stack: str) -> StackTypeDef | None:
    """The stack once nothing changes it any more, or None if there is none. ``stack`` is its name or id."""
    changing = retry_if_result(lambda found: found is not None and found["StackStatus"].endswith("_IN_PROGRESS"))
    look_again = Retrying(
        retry=changing | retry_if_exception(is_throttled),
        wait=wait_fixed(_SECONDS_BETWEEN_LOOKS),
        stop=stop_after_delay(_LONGEST_WAIT),
    )
    return look_again(_describe, cloudformation, stack)


def _describe(cloudformation: CloudFormationClient, stack: str) -> StackTypeDef | None:
    try:
        return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Message"].endswith("does not exist"):
            return None
        raise


def _first_failure(cloudformation: CloudFormationClient, stack_id: str) -> str:
    """What failed first in the latest change of the stack; all later failures follow from it."""
    failures = [
        event for event in _latest_change(cloudformation, stack_id) if event["ResourceStatus"].endswith("_FAILED")
    ]
    if not failures:
        return "it was rolled back, and no resource is reported to have failed"
    first = failures[-1]
    if first.get("PhysicalResourceId") == stack_id:
        return _invalid(cloudformation, stack_id) or first["ResourceStatusReason"]
    reason = first.get("ResourceStatusReason", "no reason is given")
    return f"{first['LogicalResourceId']} ({first['ResourceType']}) failed: {reason}"


def _invalid(cloudformation: CloudFormationClient, stack_id: str) -> str | None:
    """What CloudFormation found wrong before it began: only these events say it."""
    pages = cloudformation.get_paginator("describe_events").paginate(StackName=stack_id, Filters={"FailedEvents": True})
    for page in pages:
        for event in page["OperationEvents"]:
            if event.get("EventType") == "VALIDATION_ERROR":
                return f"{event['LogicalResourceId']} is not valid: {event['ValidationStatusReason']}"
    return None


def _latest_change(cloudformation: CloudFormationClient, stack_id: str) -> Iterator[StackEventTypeDef]:
    """The events since the stack was last told to change, newest first."""
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id):
        for event in page["StackEvents"]:
            yield event
            begun = event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
            if begun and event.get("PhysicalResourceId") == stack_id:
                return


def _outputs(stack: StackTypeDef) -> Mapping[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
