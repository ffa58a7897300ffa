"""A function from zip archives has the code and the libraries of this environment, within Lambda's limit."""

from __future__ import annotations

import io
import marshal
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.sluice.conftest import Declare
from tests.sluice.toy import MODULES, TOY

from sluice.aws.clients import Aws
from sluice.compute.artefacts import Artefacts, StoredArchive
from sluice.declaration import Lambda, Worker
from sluice.declaration.loading import load_pipeline
from sluice.errors import DeclarationError
from sluice.provisioning import archives
from sluice.provisioning.archives import MOST_BYTES, code_archive, find_artefacts, layer_archive, store_archives

IMPORTS = """
import sys
import pandas, pyarrow.parquet, pyarrow.csv, sluice.compute.handler, pipelines.flights.steps
frame = pandas.DataFrame({"a": [1, 2]})
assert pyarrow.Table.from_pandas(frame).num_rows == 2
print(pandas.__version__, pyarrow.__version__, pandas.__file__.startswith(sys.argv[1]))
"""


def unpacked(body: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
def test_archives_have_all_that_a_step_imports_and_fit(tmp_path: Path) -> None:
    """In an interpreter that has boto3 alone, as Lambda's runtime has."""
    import pandas
    import pyarrow

    code, layer = code_archive(load_pipeline("flights")), layer_archive()
    task, opt = unpacked(code.body, tmp_path / "task"), unpacked(layer.body, tmp_path / "opt")
    runtime = tmp_path / "runtime"
    site = Path(pandas.__file__).parents[1]
    runtime.mkdir()
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "urllib3"):
        (runtime / name).symlink_to(site / name)

    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {[str(task), str(opt / 'python'), str(runtime)]}\n{IMPORTS}",
            str(opt),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [pandas.__version__, pyarrow.__version__, "True"]
    assert code.unzipped + layer.unzipped < MOST_BYTES
    assert layer_archive().digest == layer.digest


def test_code_has_the_library_and_the_pipeline_and_the_same_bytes() -> None:
    flights = load_pipeline("flights")

    archive = code_archive(flights)

    with zipfile.ZipFile(io.BytesIO(archive.body)) as found:
        names = found.namelist()
    assert {
        "sluice/compute/handler.py",
        "sluice/steps/runner.py",
        "pipelines/__init__.py",
        "pipelines/flights/steps.py",
    } <= set(names)
    assert not any(name.startswith("airflow") for name in names)
    assert code_archive(flights) == archive


def test_each_module_has_the_bytecode_that_python_takes_without_a_look_at_the_source(tmp_path: Path) -> None:
    """A cold start can't keep what it compiles. The source in the archive is broken here, and nobody notices."""
    archive = code_archive(load_pipeline("flights"))
    task = unpacked(archive.body, tmp_path)
    modules = {file.relative_to(task) for file in task.rglob("*.py")}
    cached = {file.relative_to(task) for file in task.rglob("*.pyc")}
    assert cached == {each.parent / "__pycache__" / f"{each.stem}.cpython-311.pyc" for each in modules}
    for file in modules:
        (task / file).write_text("raise SystemExit('compiled')")

    script = f"import sys; sys.path[:0] = [{str(task)!r}]; import sluice.errors as e; print(e.__file__, e.SluiceError)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.split()[0] == str(task / "sluice/errors.py"), done.stderr
    assert archive.unzipped == sum(
        file.stat().st_size for file in unpacked(archive.body, tmp_path / "again").rglob("*.*")
    )


def test_bytecode_has_the_place_where_lambda_unpacks_it_and_depends_on_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(code_archive(load_pipeline("flights")).body)) as archive:
        here = archive.read("sluice/__pycache__/errors.cpython-311.pyc")
    script = (
        "import sys, pandas\n"
        "from sluice.provisioning.archives import _bytecode\n"
        "import sluice.errors\n"
        "source = open(sluice.errors.__file__, 'rb').read()\n"
        "sys.stdout.buffer.write(_bytecode(source, '/var/task/sluice/errors.py'))"
    )
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True, env=os.environ)

    assert there.stdout == here
    assert marshal.loads(here[16:]).co_filename == "/var/task/sluice/errors.py"


def small(_: object = None) -> archives.Archive:
    return archives.Archive(b"zip", 3)


def test_archive_of_the_code_has_what_the_pipeline_imports_from_beside_it(declare: Declare) -> None:
    steps = "from pipelines._shared.rates import RATE\ndef doubled(conform): ...\n"
    declare("_shared", {"rates": "RATE = 1\n", "other": ""})
    declare("toy", {**MODULES, "steps": steps, "pipeline": ""})

    names = zipfile.ZipFile(io.BytesIO(code_archive(TOY).body)).namelist()

    shared = [name for name in names if name.startswith("pipelines/_shared/") and name.endswith(".py")]
    assert sorted(shared) == ["pipelines/_shared/__init__.py", "pipelines/_shared/rates.py"]


def test_archives_are_stored_once_under_their_digest(aws: Aws, own_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "layer_archive", small)
    flights, s3 = load_pipeline("flights"), aws.client("s3")
    s3.create_bucket(Bucket=own_name)

    code, layer = store_archives(aws, flights, own_name, "sluice/")
    first = s3.head_object(Bucket=own_name, Key=code.key)["LastModified"]
    again = store_archives(aws, flights, own_name, "sluice/")

    assert again == (code, layer)
    assert s3.head_object(Bucket=own_name, Key=code.key)["LastModified"] == first
    assert code.key == f"sluice/flights-{code_archive(flights).digest[:16]}.zip"
    assert layer == StoredArchive(own_name, f"sluice/libraries-{small().digest[:16]}.zip")


def test_too_large_archives_are_refused(aws: Aws, own_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "layer_archive", lambda: archives.Archive(b"zip", MOST_BYTES))

    with pytest.raises(DeclarationError, match=r"Lambda takes 262,144,000; declare package='image'"):
        store_archives(aws, load_pipeline("flights"), own_name, "")


def test_nothing_is_made_for_a_pipeline_that_needs_no_archive(aws: Aws) -> None:
    assert not Worker().needs_archives
    assert Lambda(package="zip").needs_archives
    assert find_artefacts(aws, load_pipeline("flights"), "uri", "s3://no-such-bucket/") == Artefacts("uri")


@pytest.mark.parametrize("place", ["bucket/prefix", "s3://bucket", "s3://bucket/prefix", "https://bucket/"])
def test_place_of_archives_is_a_prefix_in_s3(aws: Aws, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flights = load_pipeline("flights")
    monkeypatch.setattr(Worker, "needs_archives", True)

    with pytest.raises(DeclarationError, match="write it as s3://BUCKET/PREFIX/"):
        find_artefacts(aws, flights, None, place)
