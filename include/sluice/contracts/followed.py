"""Calls a function of a contract with an instance that tells which members the function reads.

The instance is of a subclass of the contract, so its methods, properties and constants work. It has some members only.
A function that does more with it than to read members can't be followed: it sets one, reads ``__dict__`` or
``model_fields_set``, compares or prints the instance, or asks for its ``type``.
"""

from __future__ import annotations

import dis
from abc import ABCMeta
from collections.abc import Callable, Iterable
from operator import is_
from types import FunctionType
from typing import Any, NoReturn

from pydantic import BaseModel

_OF_PYDANTIC = frozenset(dir(BaseModel))


class Stop(BaseException):
    """Ends a call. It is no Exception, so that a function does not take it for a fault.

    Attributes:
        member: The member that the function reads and the instance lacks; None if the function can't be followed.
    """

    def __init__(self, member: str | None) -> None:
        super().__init__(member)
        self.member = member


class Followed:
    """A contract whose instances are followed.

    Args:
        contract: The contract.
    """

    def __init__(self, contract: type[BaseModel]) -> None:
        named = {"__module__": contract.__module__, "__qualname__": contract.__qualname__, "__slots__": ("__stops__",)}
        # Pydantic's own metaclass would make a validator, and call what the contract does with its subclasses.
        self._class = ABCMeta.__new__(type(contract), contract.__name__, (_Followed, contract), named)

    def keeps(self, function: Callable[[Any], Any], members: Iterable[tuple[str, Any]]) -> bool:
        """Return whether a function returns an instance as it is. It does not if it raises.

        Args:
            function: The function.
            members: The members of the instance, by name.

        Raises:
            Stop: the function reads another member, or can't be followed.
        """
        stops: list[Stop] = []
        given = dict(members)
        instance: Any = object.__new__(self._class)
        object.__setattr__(instance, "__dict__", dict(given))
        object.__setattr__(instance, "__stops__", stops)
        try:
            is_kept = function(instance) is instance
        except Exception:  # the contract's own code may raise anything: pydantic gives the reason
            is_kept = False
        if stops:  # even if the function has caught it
            raise stops[0]
        now = object.__getattribute__(instance, "__dict__")
        return is_kept and now.keys() == given.keys() and all(map(is_, now.values(), given.values()))


def can_be_followed(function: Callable[[Any], Any]) -> bool:
    """Return whether a function may be followed: it is written in Python, and does not ask for a ``type``."""
    if not isinstance(function, FunctionType):
        return False
    return not any(each.opname == "LOAD_GLOBAL" and each.argval == "type" for each in dis.get_instructions(function))


class _Followed:
    """Comes before the contract among the bases of the class."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Keep from the contract that it has a subclass."""

    def __getattribute__(self, name: str) -> Any:
        if name in object.__getattribute__(self, "__dict__"):
            return super().__getattribute__(name)
        if name == "__class__":
            return type(self).__bases__[1]
        if name in type(self).__pydantic_fields__:  # type: ignore[attr-defined]
            _stop(self, name)
        if name in _OF_PYDANTIC:
            _stop(self)
        return super().__getattribute__(name)


def _stop(instance: _Followed, member: str | None = None) -> NoReturn:
    stop = Stop(member)
    object.__getattribute__(instance, "__stops__").append(stop)
    raise stop
