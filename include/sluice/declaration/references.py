"""Imports what a declared value names as ``"module:name"``: a declaration is values only, and cheap to import."""

from __future__ import annotations

import importlib
from typing import Any

from sluice.errors import DeclarationError


def imported(reference: str, what: str) -> Any:
    """Return the class or function that a reference names.

    Args:
        reference: ``"module:name"``, with the full name of the module.
        what: What names it, as an error message begins.

    Raises:
        DeclarationError: it can't be imported.
    """
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DeclarationError(
            f"{what} names {reference!r}, which can't be imported ({error}); write it as 'module:name'"
        ) from error
