"""The names that a declaration may use."""

from __future__ import annotations

import re

from sluice.errors import DeclarationError

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# SageMaker's names hold 63 characters: <pipeline>-<candidate>-<16 digits>-<attempt>, <endpoint>-<16 digits>.
_LONGEST = 24


def check_name(kind: str, name: str, longest: int = _LONGEST) -> None:
    """Require a name of a-z, 0-9 and ``_`` that starts with a letter.

    Args:
        kind: What has the name, such as ``dataset``; for the message.
        name: What the user declared.
        longest: The most characters that are allowed.

    Raises:
        DeclarationError: the name is not allowed, or too long.
    """
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise DeclarationError(
            f"{kind} name {name!r} is not allowed: use at most {longest} of a-z, 0-9 and '_', starting with a letter"
        )
