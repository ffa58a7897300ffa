"""Clouds with an image whose handlers the tests of functions and of state machines use."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.conftest import PYTHON

from localcloud.images import Image
from localcloud.testing.clouds import Cloud, LocalCloud, free_ports, running_cloud

IMAGE = Image(Path(sys.executable), (Path(__file__).resolve().parent / "image",))


@pytest.fixture(scope="session")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an image, which a test may change."""
    return tmp_path_factory.mktemp("changing")


@pytest.fixture(scope="session")
def images(changing: Path) -> Mapping[str, Image]:
    """The image of handlers, the runtime of zips, and an image that changes: all have the packages of the tests."""
    runtime, changes = Image(IMAGE.python), Image(IMAGE.python, (changing,))
    return {"under-test": IMAGE, "python3.11": runtime, "changing": changes}


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, images: Mapping[str, Image]) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("functions"), PYTHON, images) as cloud:
        yield cloud


@pytest.fixture
def localcloud(tmp_path: Path, images: Mapping[str, Image]) -> Iterator[LocalCloud]:
    cloud = LocalCloud(tmp_path / "state", *free_ports(2), PYTHON, images)
    yield cloud
    cloud.command("down")
