"""The fingerprint of a step's code: its output is stale once this changes."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from sluice.manifests import digest_of
from sluice.pipeline import PACKAGE, Conform, Pipeline, Step


def code_fingerprint(pipeline: Pipeline, step: Conform | Step) -> str:
    """SHA-256 of the step's declaration and of the module it names, with all that this imports of its pipeline.

    Installed libraries are not in it: their versions are pinned, and the same bytes come out of a patch release.
    """
    reference = step.contract if isinstance(step, Conform) else step.run
    package = f"{PACKAGE}.{pipeline.name}"
    modules = _closure(f"{package}.{reference.partition(':')[0]}", package)
    if isinstance(step, Conform):
        modules.add("sluice.steps.conform")
    sources = {name: hashlib.sha256(_source(name).read_bytes()).hexdigest() for name in modules}
    return digest_of([repr(step), sources])


def _closure(module: str, package: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_imports(name, package))
    return found


def _imports(module: str, package: str) -> Iterator[str]:
    """The modules of ``package`` that a module imports, anywhere in its source."""
    for node in ast.walk(ast.parse(_source(module).read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.startswith(package + ".") and _is_module(name))


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    return Path(spec.origin)
