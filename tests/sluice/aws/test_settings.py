"""The command line finds its settings by itself, and overrides no value of the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.deployment.files import ROOT, read_settings

SHOW = """
import json, os
from sluice.aws.settings import load_settings
print(json.dumps([str(load_settings()), dict(os.environ)]))
"""
ENDPOINT = "AWS_ENDPOINT_URL"


def loaded(folder: Path, **environment: str) -> tuple[str, Mapping[str, str]]:
    """Return the file that ``sluice`` reads its settings from in that folder, and the environment with them."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "include"), "PWD": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    file, found = json.loads(done.stdout)
    return file, found


def write(folder: Path, text: str) -> str:
    file = folder / ".env"
    file.write_text(text)
    return str(file)


@pytest.mark.skipif((ROOT / ".env").exists(), reason="this checkout has a .env")
def test_without_an_env_file_the_example_of_the_checkout_is_used_as_make_does(tmp_path: Path) -> None:
    file, found = loaded(tmp_path)

    assert file == str(ROOT / ".env.example")
    example = read_settings(ROOT / ".env.example", ROOT)
    of_aws = {name: value for name, value in example.items() if name.startswith("AWS_") or name == "NO_PROXY"}
    assert found.items() >= of_aws.items()
    assert found[ENDPOINT] == "http://127.0.0.1:4566"
    assert "AIRFLOW_HOME" not in found


def test_nearest_file_is_used(tmp_path: Path) -> None:
    file = write(tmp_path, "LOCALCLOUD_PORT=7\nAWS_ENDPOINT_URL=http://127.0.0.1:${LOCALCLOUD_PORT}\nAIRFLOW_HOME=x\n")
    (tmp_path / "a" / "b").mkdir(parents=True)

    assert loaded(tmp_path / "a" / "b")[0] == file
    assert loaded(tmp_path / "a" / "b")[1][ENDPOINT] == "http://127.0.0.1:7"


def test_values_of_the_environment_are_not_overridden(tmp_path: Path) -> None:
    write(
        tmp_path,
        "LOCALCLOUD_PORT=7\nAWS_ENDPOINT_URL=http://127.0.0.1:${LOCALCLOUD_PORT}\nAWS_DEFAULT_REGION=eu-west-1\n",
    )

    assert loaded(tmp_path, AWS_DEFAULT_REGION="us-east-2")[1]["AWS_DEFAULT_REGION"] == "us-east-2"
    assert loaded(tmp_path, LOCALCLOUD_PORT="8")[1][ENDPOINT] == "http://127.0.0.1:8"


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
def test_environment_with_credentials_is_complete(tmp_path: Path, name: str) -> None:
    """Otherwise keys of one account would be sent to the endpoints of another."""
    write(tmp_path, "AWS_ENDPOINT_URL=http://127.0.0.1:7\n")

    file, found = loaded(tmp_path, **{name: "mine"})

    assert file == "None"
    assert ENDPOINT not in found


def test_pwd_is_the_folder_of_the_file_even_with_a_space(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    (folder / "below").mkdir(parents=True)
    write(folder, "AWS_CONFIG_FILE=${PWD}/config\n")

    assert loaded(folder / "below")[1]["AWS_CONFIG_FILE"] == f"{folder}/config"


def test_command_needs_no_settings_in_its_environment(tmp_path: Path) -> None:
    write(
        tmp_path,
        "AWS_ENDPOINT_URL=http://127.0.0.1:9\nAWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\nAWS_DEFAULT_REGION=us-east-1\n",
    )
    done = subprocess.run(
        [sys.executable, "-m", "sluice", "status", "flights"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "include"), "AWS_MAX_ATTEMPTS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith('error: Could not connect to the endpoint URL: "http://127.0.0.1:9/"')
