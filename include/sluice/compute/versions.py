"""Requires the code of the DAGs of what runs elsewhere. Other code would write other bytes under the same names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sluice.compute.names import CODE
from sluice.errors import SluiceError


def code_of_function(configuration: Mapping[str, Any]) -> str:
    """Return the fingerprint of the code for which a function was provisioned; empty if there is none.

    Args:
        configuration: The function as GetFunctionConfiguration describes it.
    """
    code: str = configuration.get("Environment", {}).get("Variables", {}).get(CODE, "")
    return code


def require_same_code(where: str, there: str, of: str, code: str, pipeline: str) -> None:
    """Require that two fingerprints are the same.

    Args:
        where: What has the code there, to begin the message.
        there: The fingerprint there; empty if there is none.
        of: What the code is of, such as ``step 'conform'``.
        code: The fingerprint that the DAGs have.
        pipeline: The name of the pipeline.

    Raises:
        SluiceError: they differ.
    """
    if there != code:
        raise SluiceError(
            f"{where} has the code {there[:12] or 'of nobody'} of {of}, and the DAG has {code[:12]}; build the image "
            f"of steps from the code of the DAGs, then run `sluice provision {pipeline}`"
        )
