"""State machines of CloudFormation stacks, which the emulator makes without a look at their definitions.

Source: AWS CloudFormation Template Reference, AWS::StepFunctions::StateMachine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.emulator.state_machines.operations import require_known, require_valid
from localcloud.service_model.errors import ServiceError

TYPE = "AWS::StepFunctions::StateMachine"

Properties = dict[str, Any]


def patch(handlers: dict[str, dict[str, Any]]) -> None:
    """Replace the emulator's handlers of state machines.

    Args:
        handlers: The emulator's handlers of resources, by type.
    """
    machine = handlers[TYPE]
    create, update = machine["create"], machine["update"]
    machine["create"] = _checking(create, 1)
    machine["update"] = _checking(update, 2)


def _checking(handle: Callable[..., Any], place: int) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        from ministack.services.cloudformation import provisioners

        try:
            require_known(arguments[place].get("StateMachineType", "STANDARD"))
            require_valid(provisioners._sfn_definition(arguments[place]))
        except ServiceError as error:
            raise ValueError(error.message) from error
        return handle(*arguments)

    return call
