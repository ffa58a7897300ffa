"""What takes the place of images: how the setting is read and refused, and what a process of an image gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.images import Image, ImagesError, MissingImageError, as_setting, find, parse
from localcloud.settings import endpoint_variables
from localcloud.testing.clouds import LocalCloud

PYTHON = sys.executable


def test_a_setting_is_read_and_written(tmp_path: Path) -> None:
    images = parse(json.dumps({"orders": {"python": PYTHON, "path": [str(tmp_path)]}, "bare": {"python": PYTHON}}))
    assert images == {"orders": Image(Path(PYTHON), (tmp_path,)), "bare": Image(Path(PYTHON))}
    assert parse(as_setting(images)) == images


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("{", "LOCALCLOUD_IMAGES is not JSON: "),
        ("[]", "LOCALCLOUD_IMAGES has to be a JSON object"),
        ('{"a": []}', """image 'a': it has to have the members "python" and "path", and no others"""),
        ('{"a": {}}', """image 'a': it has to have the members "python" and "path", and no others"""),
        (f'{{"a": {{"python": "{PYTHON}", "paths": []}}}}', "and no others"),
        ('{"a": {"python": "/no/such/python"}}', "image 'a': no interpreter at /no/such/python"),
        ('{"a": {"python": "/etc/passwd"}}', "image 'a': no interpreter at /etc/passwd"),
        ('{"a": {"python": "/usr"}}', "image 'a': no interpreter at /usr"),
        ('{"a": {"python": "python"}}', """image 'a': "python" has to have absolute paths, not 'python'"""),
        (f'{{"a": {{"python": "{PYTHON}", "path": "/usr"}}}}', """image 'a': "path" has to be a list of folders"""),
        (f'{{"a": {{"python": "{PYTHON}", "path": ["src"]}}}}', """"path" has to have absolute paths, not 'src'"""),
        (f'{{"a": {{"python": "{PYTHON}", "path": ["/no/such"]}}}}', "image 'a': no folder /no/such"),
    ],
)
def test_a_bad_setting_is_refused_with_its_reason(setting: str, reason: str) -> None:
    with pytest.raises(ImagesError) as refused:
        parse(setting)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("command", ["up", "run"])
def test_a_cloud_with_a_bad_setting_does_not_start(localcloud: LocalCloud, command: str) -> None:
    done = replace(localcloud, images={"a": Image(Path("/no/such/python"))}).command(command)
    assert done.returncode == 1
    assert done.stderr == "localcloud: LOCALCLOUD_IMAGES, image 'a': no interpreter at /no/such/python\n"
    assert localcloud.processes() == {}


def test_a_bad_setting_does_not_hinder_the_stop(localcloud: LocalCloud) -> None:
    done = replace(localcloud, images={"a": Image(Path("/no/such/python"))}).command("down")
    assert (done.returncode, done.stdout) == (0, "stopped: nothing ran\n")


@pytest.mark.parametrize(
    "uri",
    [
        "orders",
        "orders:1",
        "shop/orders",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/orders:1@sha256:" + "0" * 64,
        "localhost:5000/orders",
    ],
)
def test_an_image_is_found_by_the_last_name_of_its_repository(uri: str) -> None:
    image = Image(Path(PYTHON))
    assert find({"other": Image(Path("/other")), "orders": image}, uri) is image


def test_a_runtime_is_found_by_its_name() -> None:
    image = Image(Path(PYTHON))
    assert find({"python3.11": image}, "python3.11") is image


def test_an_image_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(MissingImageError) as missing:
        find({"orders": Image(Path(PYTHON)), "bills": Image(Path(PYTHON))}, "shop/carts:2")
    assert str(missing.value) == (
        "nothing here takes the place of image shop/carts:2; LOCALCLOUD_IMAGES has bills, orders: add 'carts'"
    )


def test_a_process_gets_this_cloud_and_nothing_of_the_user_s_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the user")
    image = Image(Path(PYTHON), (tmp_path / "one", tmp_path / "two"))
    environment = image.environment(tmp_path, "eu-west-1", endpoint_variables(1111, 2222))
    shown = subprocess.run(
        [PYTHON, "-c", "import json, os; print(json.dumps(dict(os.environ)))"],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    seen = json.loads(shown.stdout)
    assert seen.pop("PATH").split(os.pathsep)[0] == str(Path(PYTHON).parent)
    seen.pop("LC_CTYPE", None)  # the interpreter's own
    assert seen == {
        "PYTHONPATH": f"{tmp_path}/one:{tmp_path}/two",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "LANG": "C.UTF-8",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1111",
        "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": "http://127.0.0.1:2222",
        "AWS_ENDPOINT_URL_SAGEMAKER": "http://127.0.0.1:2222",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://127.0.0.1:2222",
    }


def test_a_process_reads_its_environment_its_installation_and_its_path(tmp_path: Path) -> None:
    environment, home = tmp_path / "environment", tmp_path / "home"
    for folder in (environment, home):
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/python").symlink_to("/usr/bin/python-of-system")
    (environment / "pyvenv.cfg").touch()
    assert Image(environment / "bin/python", (tmp_path,)).code() == (environment, Path("/usr"), tmp_path)
    assert Image(home / "bin/python").code() == (Path("/usr"),), "a link in a home folder opens nothing of it"


def test_a_version_changes_with_any_file_of_the_path(tmp_path: Path) -> None:
    module = tmp_path / "package/module.py"
    module.parent.mkdir()
    module.write_text("answer = 41")
    image = Image(Path(PYTHON), (tmp_path,))
    versions = [image.version()]
    assert image.version() == versions[0], "nothing has changed"

    (tmp_path / "package/__pycache__").mkdir()
    (tmp_path / "package/__pycache__/module.pyc").write_text("compiled")
    assert image.version() == versions[0], "compiled files don't count"

    module.write_text("answer = 42 ")
    versions.append(image.version())
    os.utime(module, ns=(0, 0))
    versions.append(image.version())
    module.rename(module.with_name("other.py"))
    versions.append(image.version())
    (tmp_path / "data.csv").write_text("")
    versions.append(image.version())
    (tmp_path / "data.csv").unlink()
    assert len(set(versions)) == len(versions)
    assert image.version() == versions[-2]
