"""Checks the functions and contracts that a pipeline names, by reading their source.

Nothing is imported, because a step's module imports pandas and this runs whenever Airflow parses a DAG file. So only
definitions in the source are checked, not what a module makes at run time.
"""

from __future__ import annotations

import ast
from pathlib import Path

from sluice.declaration.folders import package_folders
from sluice.declaration.parsing import definitions, parse_module
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step
from sluice.errors import DeclarationError


def check_functions(pipeline: Pipeline) -> None:
    """Check that every function, contract and schema exists, and that every function takes the inputs of its step.

    Raises:
        DeclarationError: a module or a name does not exist, or a function takes other parameters.
    """
    for step in pipeline.steps:
        code, *_ = [_definition(pipeline, step, reference) for reference in step.references]
        if isinstance(step, Step) and isinstance(code, ast.FunctionDef):
            _check_parameters(pipeline, step, code)


def _definition(pipeline: Pipeline, step: Conform | Step, reference: str) -> ast.AST | None:
    """Return the statement that defines the name in its module; None if it may come from ``import *``."""
    where = f"pipeline {pipeline.name}: step {step.name!r}"
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise DeclarationError(f"{where} names {reference!r}; write it as 'module:name'")
    file = _file_of(pipeline, module)
    if file is None:
        raise DeclarationError(
            f"{where} names {reference!r}, but there is no module {module!r} beside its pipeline.py; write it as "
            f"'module:name'"
        )
    try:
        tree = parse_module(file)
    except SyntaxError as error:
        raise DeclarationError(f"{where} names {reference!r}: {file.name} line {error.lineno}: {error.msg}") from error
    defined = dict(definitions(tree.body))
    if name not in defined and "*" not in defined:
        known = ", ".join(sorted(each for each in defined if not each.startswith("_"))) or "nothing"
        raise DeclarationError(f"{where} names {reference!r}, but {file.name} defines no {name!r}; it defines {known}")
    return defined.get(name)


def _file_of(pipeline: Pipeline, module: str) -> Path | None:
    parts = module.split(".")
    for folder in package_folders(pipeline.name):
        for file in (folder.joinpath(*parts).with_suffix(".py"), folder.joinpath(*parts, "__init__.py")):
            if file.is_file():
                return file
    return None


def _check_parameters(pipeline: Pipeline, step: Step, function: ast.FunctionDef) -> None:
    """Require one parameter for each input, one more for each look-back and look-ahead, and one for a state."""
    if function.decorator_list:
        return  # a decorator may change the parameters
    given = step.arguments
    taken = function.args
    names = [each.arg for each in (*taken.args, *taken.kwonlyargs)]
    optional = {each.arg for each in taken.args[len(taken.args) - len(taken.defaults) :]}
    optional |= {each.arg for each, default in zip(taken.kwonlyargs, taken.kw_defaults, strict=True) if default}
    missing = [] if taken.kwarg else [name for name in given if name not in names]
    unknown = [each.arg for each in taken.posonlyargs] + [n for n in names if n not in given and n not in optional]
    if missing or unknown:
        raise DeclarationError(
            f"pipeline {pipeline.name}: step {step.name!r} calls {step.run} with ({', '.join(given)}), but it takes "
            f"({', '.join(names)}); name its parameters for its inputs, with <input>_before for a look-back and "
            f"<input>_after for a look-ahead{', and state for its state' if step.state_by else ''}"
        )
