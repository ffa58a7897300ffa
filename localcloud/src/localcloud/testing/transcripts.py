"""Folders of transcripts: requests to a container, and its answers. ``xgboost/README.md`` describes the format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1
COMPARISONS = ("exact", "exact_any_order", "tolerance", "shape", "salient", "status")


class FormatError(Exception):
    """A folder or a case doesn't have the format that this runner reads."""


@dataclass(frozen=True)
class File:
    """A file of a channel: its name below the channel's prefix, and the path of its content."""

    channel_path: str
    path: Path


@dataclass(frozen=True)
class Channel:
    """A channel of a training job; ``content_type`` is None if the channel has none."""

    name: str
    content_type: str | None
    input_mode: str
    s3_data_distribution: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Exchange:
    """A request to the scoring application, and its recorded answer.

    Attributes:
        name: The exchange's name.
        known_defect: Whether the stand-in deliberately answers otherwise than the container.
        method: The HTTP method.
        path: The path in the container.
        content_type: The header; None if it isn't sent.
        accept: The header; None if it isn't sent.
        environment: The variables of the model's container.
        body: The body of the request.
        expected: The recorded ``response``, but for its body.
        expected_body: The recorded body; None if it wasn't kept.
    """

    name: str
    known_defect: bool
    method: str
    path: str
    content_type: str | None
    accept: str | None
    environment: Mapping[str, str]
    body: bytes
    expected: Mapping[str, Any]
    expected_body: bytes | None


@dataclass(frozen=True)
class Case:
    """A training job, its recorded outcome, and the requests to its model."""

    name: str
    known_defect: bool
    hyperparameters: Mapping[str, str]
    channels: tuple[Channel, ...]
    expected: Mapping[str, Any]
    exchanges: tuple[Exchange, ...]


def folders(directory: Path) -> list[Path]:
    """Return the folders of the cases, sorted by name.

    Raises:
        FormatError: There are none.
    """
    found = sorted(path.parent for path in directory.glob("cases/*/case.json"))
    if not found:
        raise FormatError(f"{directory} holds no transcripts: there is no cases/NAME/case.json in it")
    return found


def read(folder: Path) -> Case:
    """Read the case of a folder.

    Raises:
        FormatError: It doesn't have the format.
    """
    try:
        return _case(folder, json.loads((folder / "case.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"case.json can't be read: {type(error).__name__}: {error}") from error


def _case(folder: Path, content: Mapping[str, Any]) -> Case:
    if content["format_version"] != FORMAT_VERSION:
        raise ValueError(f"format_version is {content['format_version']!r}; this runner knows {FORMAT_VERSION}")
    expected = content["expect"]
    if expected["outcome"] not in ("completed", "failed"):
        raise ValueError(f"outcome is {expected['outcome']!r}")
    for kind in expected.get("compare", {}).values():
        _check_comparison(kind)
    return Case(
        name=content["name"],
        known_defect=content.get("known_defect", False),
        hyperparameters=content["hyperparameters"],
        channels=tuple(_channel(folder, name, each) for name, each in content["channels"].items()),
        expected=expected,
        exchanges=tuple(_exchange(folder, each) for each in content["inference"]),
    )


def _channel(folder: Path, name: str, content: Mapping[str, Any]) -> Channel:
    return Channel(
        name=name,
        content_type=content["content_type"],
        input_mode=content["input_mode"],
        s3_data_distribution=content["s3_data_distribution"],
        files=tuple(File(each["channel_path"], _existing(folder / each["data_file"])) for each in content["files"]),
    )


def _exchange(folder: Path, content: Mapping[str, Any]) -> Exchange:
    request, response = content["request"], content["response"]
    _check_comparison(response["compare"])
    return Exchange(
        name=content["name"],
        known_defect=content.get("known_defect", False),
        method=request["method"],
        path=request["path"],
        content_type=request["content_type"],
        accept=request["accept"],
        environment=request["env"],
        body=_body(folder, request) or b"",
        expected={"status": int(response["status"]), **response},
        expected_body=_body(folder, response),
    )


def _body(folder: Path, content: Mapping[str, Any]) -> bytes | None:
    if "body_file" in content:
        return _existing(folder / content["body_file"]).read_bytes()
    body = content.get("body")
    return None if body is None else str(body).encode()


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    return path


def _check_comparison(kind: str) -> None:
    if kind not in COMPARISONS:
        raise ValueError(f"compare is {kind!r}; this runner knows {', '.join(COMPARISONS)}")
