"""Loads the pipelines, each from its own folder. A broken one does not affect the others (P17)."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from typing import Any

from sluice.declaration.folders import PACKAGE, package_folders, pipeline_names
from sluice.declaration.functions import check_functions
from sluice.declaration.names import check_name
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError


def load_pipeline(name: str) -> Pipeline:
    """Return the ``PIPELINE`` that ``pipelines/<name>/pipeline.py`` declares.

    Raises:
        DeclarationError: there is no such folder, its module can't be imported, or it declares no pipeline of the
            folder's name.
    """
    known = pipeline_names()
    if name not in known:
        raise DeclarationError(f"there is no pipeline {name!r}; known: {', '.join(known) or 'none'}")
    check_name("pipeline", name)
    if not any((folder / "pipeline.py").is_file() for folder in package_folders(name)):
        raise DeclarationError(f"{PACKAGE}/{name} has no pipeline.py; declare the pipeline there, or move the folder")
    try:
        module = importlib.import_module(f"{PACKAGE}.{name}.pipeline")
    except (Exception, SystemExit) as error:  # what a user's module may raise is not known
        raise DeclarationError(f"pipeline {name} can't be loaded: {_where(name, error)}; correct it") from error
    declared = getattr(module, "PIPELINE", None)
    if not isinstance(declared, Pipeline) or declared.name != name:
        raise DeclarationError(f"{module.__file__} must set PIPELINE to a Pipeline named {name!r}")
    return declared


def _where(name: str, error: BaseException) -> str:
    """Return the error in one line, with the line of the pipeline's own code that caused it."""
    place = f"{PACKAGE}/{name}"
    if isinstance(error, SyntaxError):
        return f"{place}/{Path(error.filename or '').name} line {error.lineno}: {type(error).__name__}: {error.msg}"
    text = " ".join(str(error).split())
    what = text if isinstance(error, DeclarationError) else f"{type(error).__name__}: {text}"
    folders = package_folders(name)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.parent in folders:
            return f"{place}/{file.name} line {frame.lineno}: {what}"
    return what


def load_pipelines() -> tuple[tuple[Pipeline, ...], tuple[DeclarationError, ...]]:
    """Load every pipeline that has a folder under ``pipelines``.

    Returns:
        The pipelines, sorted by name, and an error for each one that can't be used.
    """
    pipelines: list[Pipeline] = []
    errors: list[DeclarationError] = []
    for name in pipeline_names():
        try:
            pipeline = load_pipeline(name)
            check_functions(pipeline)
            pipelines.append(pipeline)
        except DeclarationError as error:
            errors.append(error)
    return tuple(pipelines), tuple(errors)


def resolve(pipeline: Pipeline, reference: str) -> Any:
    """Import a function or a contract that a pipeline names.

    Args:
        pipeline: The pipeline whose package has the module.
        reference: ``"module:name"``; the module is relative to that package.

    Raises:
        DeclarationError: there is no such module or name.
    """
    module_name, _, attribute = reference.partition(":")
    try:
        return getattr(importlib.import_module(f"{PACKAGE}.{pipeline.name}.{module_name}"), attribute)
    except (ImportError, AttributeError) as error:
        raise DeclarationError(
            f"pipeline {pipeline.name}: {reference!r} can't be resolved ({error}); "
            f"write it as 'module:name' of a module beside its pipeline.py"
        ) from error
