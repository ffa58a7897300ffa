"""The fingerprints of code. When a step's changes, the step runs again. What runs elsewhere must have the DAG's."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import sluice.contracts
from sluice.declaration.folders import PACKAGE
from sluice.declaration.loading import resolve
from sluice.declaration.parsing import parse_module
from sluice.declaration.pipeline import Pipeline
from sluice.declaration.steps import Conform, Step
from sluice.errors import DeclarationError, RunInterrupted
from sluice.lake.manifests import digest_of
from sluice.sources.connecting import events_source

_LOADED = "__sluice_source__"
_LIBRARY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Code:
    """What decides the output of a step, beside its inputs.

    Attributes:
        fingerprint: The digest of all of it: a SHA-256 in hexadecimal digits.
        declaration: The members of the declaration that count, by name, as Python writes them, ``state_by`` only if it
            is given; of a ``Conform`` also how its source reads times.
        packages: The versions of the packages that the step declares, by name.
        modules: The files of its modules, by name.
    """

    fingerprint: str
    declaration: Mapping[str, str]
    packages: Mapping[str, str]
    modules: Mapping[str, Path]


def code_fingerprint(pipeline: Pipeline, step: Conform | Step) -> str:
    """Return the fingerprint of a step's code, as :func:`code_of` does.

    Args:
        pipeline: The pipeline whose package has the modules.
        step: One of its steps.

    Raises:
        DeclarationError: as for :func:`code_of`.
    """
    return code_of(pipeline, step).fingerprint


def code_of(pipeline: Pipeline, step: Conform | Step) -> Code:
    """Return a step's code.

    It covers the step's declaration, the modules that it names, and all modules in the folder of pipelines that these
    import; for a ``Conform`` also how its source reads times, and the library's own code that conforms. Of installed
    libraries it covers the versions of those that the step declares: a release of another one makes nothing run again.

    Args:
        pipeline: The pipeline whose package has the modules.
        step: One of its steps.

    Raises:
        DeclarationError: the module that the step names does not exist, or a package that it declares is not installed.
    """
    modules = _closure(_named(pipeline, step))
    packages, more = dict[str, str](), dict[str, str]()
    if isinstance(step, Step):
        more = {} if step.state_by is None else {"state_by": repr(step.state_by)}
        packages = {package: _version(package, step) for package in sorted(step.packages)}
    else:
        source = events_source(pipeline, step.source)
        more = {name: str(getattr(source, name)) for name in ("event_time_unit", "event_time_zone")}
        modules |= {"sluice.steps.conform", "sluice.steps.ids.keys", "sluice.records.times"}
        modules |= {f"sluice.contracts.{module.name}" for module in pkgutil.iter_modules(sluice.contracts.__path__)}
    files = {name: _source(name) for name in sorted(modules)}
    declared = [repr(step), *more.values(), *(f"{package}=={version}" for package, version in packages.items())]
    return Code(
        fingerprint=digest_of([*declared, {name: _digest(file) for name, file in files.items()}]),
        declaration={each.name: repr(getattr(step, each.name)) for each in fields(step) if each.repr} | more,
        packages=packages,
        modules=files,
    )


def require_loaded(pipeline: Pipeline, step: Conform | Step, code: str) -> None:
    """Load what a step names, and require that this process has loaded the code of a fingerprint.

    A module that was changed after it was loaded would run as it was, under the fingerprint of what it is now.

    Args:
        pipeline: The pipeline whose package has the modules.
        step: One of its steps.
        code: The fingerprint of the step's code, taken before.

    Raises:
        RunInterrupted: the code has changed since then, or since it was loaded. A new process loads it as it is now.
        DeclarationError: there is no such module or name.
    """
    for reference in step.references:
        resolve(pipeline, reference)
    now = code_of(pipeline, step)
    is_same, stale = now.fingerprint == code, False
    for name, file in now.modules.items():
        if name in sys.modules:
            # The module itself keeps the digest of what it was loaded from, for as long as it is loaded.
            digest = _digest(file)
            stale |= vars(sys.modules[name]).setdefault(_LOADED, digest if is_same else "unknown") != digest
    if stale or not is_same:
        raise RunInterrupted(
            f"the code of step {step.name!r} of {pipeline.name} has changed since this process loaded it; clear this "
            f"task, or start the run again: a new process loads it as it is now"
        )


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
    declaration = {name: _digest(_source(name)) for name in _closure([f"{PACKAGE}.{pipeline.name}.pipeline"])}
    library = {str(file.relative_to(_LIBRARY)): _digest(file) for file in _LIBRARY.rglob("*.py")}
    return digest_of([declaration, library])


def shared_modules(pipeline: Pipeline) -> dict[str, Path]:
    """Return the files of modules that a pipeline's declaration and steps import from outside of its own folder.

    Args:
        pipeline: The pipeline.

    Returns:
        The files of modules in the folder of pipelines, by name.
    """
    own = f"{PACKAGE}.{pipeline.name}"
    named = [f"{own}.pipeline", *(name for step in pipeline.steps for name in _named(pipeline, step))]
    return {name: _source(name) for name in _closure(named) if not f"{name}.".startswith(f"{own}.")}


def _named(pipeline: Pipeline, step: Conform | Step) -> list[str]:
    return [f"{PACKAGE}.{pipeline.name}.{reference.partition(':')[0]}" for reference in step.references]


def _version(package: str, step: Step) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise DeclarationError(
            f"step {step.name}: packages has {package!r}, which is not installed here; install it, or leave it out"
        ) from error


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _closure(waiting: list[str]) -> set[str]:
    """Return modules, and all modules in the folder of pipelines that they import."""
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend([*_imports(name), *_packages(name)])
    return found


def _packages(module: str) -> Iterator[str]:
    """Yield the packages of a module, whose own code an import runs too."""
    package = module.rpartition(".")[0]
    while package and package != PACKAGE:
        if _is_module(package):
            yield package
        package = package.rpartition(".")[0]


def _imports(module: str) -> Iterator[str]:
    """Yield the modules in the folder of pipelines that a module imports, anywhere in its source."""
    source = _source(module)
    own = module if source.name == "__init__.py" else module.rpartition(".")[0]
    for node in _statements(parse_module(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), own)
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.startswith(f"{PACKAGE}.") and _is_module(name))


def _statements(block: ast.AST) -> Iterator[ast.stmt]:
    """Yield all statements in a block. No expression, of which there are many more, holds one."""
    for field in ("body", "orelse", "finalbody"):
        for statement in getattr(block, field, ()):
            yield statement
            yield from _statements(statement)
    for part in (*getattr(block, "handlers", ()), *getattr(block, "cases", ())):
        yield from _statements(part)


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
