"""The fingerprints of code. When a step's changes, the step runs again. What runs elsewhere must have the DAG's."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import sluice.contracts
from sluice.declaration.folders import PACKAGE
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step
from sluice.errors import DeclarationError
from sluice.lake.manifests import digest_of
from sluice.sources.connecting import events_source

_LIBRARY = Path(__file__).resolve().parents[1]


def code_fingerprint(pipeline: Pipeline, step: Conform | Step) -> str:
    """Return the fingerprint of a step's code.

    It covers the step's declaration, the modules that it names, and all modules of the pipeline that these import; for
    a ``Conform`` also how its source reads times, and the library's own code that conforms. Installed libraries are not
    included: their versions are pinned, and a patch release returns the same bytes.

    Args:
        pipeline: The pipeline whose package has the modules.
        step: One of its steps.

    Returns:
        A SHA-256 in hexadecimal digits.

    Raises:
        DeclarationError: the module that the step names does not exist.
    """
    package = f"{PACKAGE}.{pipeline.name}"
    modules = _closure([f"{package}.{reference.partition(':')[0]}" for reference in step.references], package)
    declared = [repr(step)]
    if isinstance(step, Conform):
        source = events_source(pipeline, step.source)
        declared += [str(source.event_time_unit), str(source.event_time_zone)]
        modules |= {"sluice.steps.conform", "sluice.records.times"}
        modules |= {f"sluice.contracts.{module.name}" for module in pkgutil.iter_modules(sluice.contracts.__path__)}
    sources = {name: _digest(_source(name)) for name in modules}
    return digest_of([*declared, sources])


def training_fingerprint(pipeline: Pipeline) -> str:
    """Return the fingerprint of the code that decides how a pipeline trains.

    It covers the pipeline's declaration, with all modules of the pipeline that it imports, and the library.

    Args:
        pipeline: The pipeline.

    Returns:
        A SHA-256 in hexadecimal digits.

    Raises:
        DeclarationError: the pipeline has no declaration in its folder.
    """
    package = f"{PACKAGE}.{pipeline.name}"
    declaration = {name: _digest(_source(name)) for name in _closure([f"{package}.pipeline"], package)}
    library = {str(file.relative_to(_LIBRARY)): _digest(file) for file in _LIBRARY.rglob("*.py")}
    return digest_of([declaration, library])


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _closure(waiting: list[str], package: str) -> set[str]:
    """Return modules, and all modules of the package that they import."""
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_imports(name, package))
    return found


def _imports(module: str, package: str) -> Iterator[str]:
    """Yield the modules of ``package`` that a module imports, anywhere in its source."""
    source = _source(module)
    own = module if source.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), own)
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if f"{name}.".startswith(f"{package}.") and _is_module(name))


def _is_module(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return False
    return spec is not None and spec.has_location  # a folder without __init__.py is a module without a source


def _source(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise DeclarationError(f"there is no module {module}; a step names its function as 'module:name'")
    return Path(spec.origin)
