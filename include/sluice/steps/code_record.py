"""The record of a step's code: its parts, kept in the lake, so that one can say later which of them has changed.

There is one object for each fingerprint, however many manifests have it.
"""

from __future__ import annotations

import ast
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluice.declaration.parsing import definitions, parse_source
from sluice.lake.manifests import digest_of
from sluice.lake.store import Lake
from sluice.steps.code import Code


class Module(BaseModel):
    """One module of a step's code.

    Attributes:
        digest: The SHA-256 of its file.
        definitions: The digest of each function, class, constant and import at its top level, by name. It does not
            change with comments and layout.
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    definitions: Mapping[str, str]


class CodeRecord(BaseModel):
    """The parts of a step's code.

    Attributes:
        schema_version: The version of this JSON.
        declaration: As in :class:`sluice.steps.code.Code`.
        packages: As in :class:`sluice.steps.code.Code`.
        modules: Its modules, by name.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    declaration: Mapping[str, str]
    packages: Mapping[str, str]
    modules: Mapping[str, Module]


def describe_code(code: Code) -> CodeRecord:
    """Return the record of a step's code."""
    modules = {name: _module(file.read_bytes(), str(file)) for name, file in code.modules.items()}
    return CodeRecord(declaration=code.declaration, packages=code.packages, modules=modules)


def record_code(lake: Lake, code: Code) -> None:
    """Keep the record of a step's code, unless the lake has it.

    Args:
        lake: The pipeline's lake.
        code: The code.

    Raises:
        ConflictingWrite: others wrote it at once twenty times in a row.
    """
    key = lake.layout.code(code.fingerprint)
    if lake.read(key) is None:
        lake.create(key, describe_code(code).model_dump_json().encode())


def changes(before: CodeRecord, now: CodeRecord) -> Iterator[str]:
    """Yield which parts of a step's code differ, such as ``RATE in pipelines.flights.steps``.

    Args:
        before: The record of the code that has made a partition.
        now: The record of the present code.
    """
    for member in _differing(before.declaration, now.declaration):
        yield f"{member} of its declaration"
    for package in _differing(before.packages, now.packages):
        yield f"{package} {now.packages.get(package, 'left out')}, was {before.packages.get(package, 'not declared')}"
    for name in _differing(before.modules, now.modules):
        yield _module_change(name, before.modules.get(name), now.modules.get(name))


def _module_change(name: str, before: Module | None, now: Module | None) -> str:
    if before is None or now is None:
        return f"{name} is {'new' if before is None else 'gone'}"
    names = _differing(before.definitions, now.definitions)
    return f"{', '.join(names)} in {name}" if names else f"{name}, outside of its definitions"


def _differing(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


@lru_cache(maxsize=128)
def _module(source: bytes, name: str) -> Module:
    found = defaultdict[str, list[str]](list)
    for defined, node in definitions(parse_source(source, name).body):
        found[defined].append(ast.dump(node))
    digests = {defined: digest_of(dumps)[:16] for defined, dumps in found.items()}
    return Module(digest=hashlib.sha256(source).hexdigest(), definitions=digests)
