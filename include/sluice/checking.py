"""Checks a pipeline before anything runs: its declaration, the code that it names, and its lake."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import BaseModel

from sluice.compute.artefacts import Artefacts, StoredArchive
from sluice.contracts.reading import Contract
from sluice.declaration.functions import check_functions
from sluice.declaration.loading import load_pipeline, resolve
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step
from sluice.errors import DeclarationError
from sluice.provisioning.template import render
from sluice.steps.output_schema import OutputSchema

# Where AWS finds what steps are made of is no mistake of the declaration.
_ANY = Artefacts("image", StoredArchive("bucket", "code.zip"), StoredArchive("bucket", "layer.zip"))


def check_pipeline(name: str) -> Pipeline:
    """Load a pipeline, import its functions and contracts, and render its template. AWS is not called.

    Raises:
        DeclarationError: the first mistake in a member, a function, a contract, or a name in the template.
    """
    pipeline = load_pipeline(name)
    check_functions(pipeline)
    for step in pipeline.steps:
        found = [_resolved(pipeline, reference) for reference in step.references]
        where = f"pipeline {name}: step {step.name!r}"
        if isinstance(step, Conform):
            _check_contract(where, step, found[0])
        else:
            _check_step(where, step, *found)
    render(pipeline, _ANY)
    return pipeline


def _check_contract(where: str, step: Conform, contract: Any) -> None:
    if not inspect.isclass(contract) or not issubclass(contract, BaseModel):
        raise DeclarationError(f"{where} names {step.contract!r}, which is no pydantic model")
    try:
        Contract(contract)
    except DeclarationError as error:
        raise DeclarationError(f"{where}: {error}") from error


def _check_step(where: str, step: Step, run: Any, output: Any = None) -> None:
    if not callable(run):
        raise DeclarationError(f"{where} names {step.run!r}, which can't be called")
    if step.output is not None:
        OutputSchema(where, step.output, output)


def _resolved(pipeline: Pipeline, reference: str) -> Any:
    try:
        return resolve(pipeline, reference)
    except DeclarationError:
        raise
    except Exception as error:  # what a user's module may raise is not known
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise DeclarationError(f"pipeline {pipeline.name}: {reference!r} can't be imported: {what}") from error
