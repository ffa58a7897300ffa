"""The archives of a function that is no image: the code, and a layer of the libraries that it imports.

Both are made of what is installed here, so a function has the versions of who provisions it. The same files give the
same bytes. They have the bytecode of all modules, because a function can't keep what it has compiled: each cold start
would compile everything that it imports.
"""

from __future__ import annotations

import hashlib
import io
import marshal
import platform
import re
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path

from botocore.exceptions import ClientError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sluice.aws.clients import Aws
from sluice.aws.failures import is_absent
from sluice.compute.artefacts import Artefacts, StoredArchive
from sluice.declaration.folders import PACKAGE, package_folders
from sluice.declaration.pipeline import Pipeline
from sluice.errors import DeclarationError, SluiceError
from sluice.steps.code import shared_modules

# AWS Lambda developer guide, "Lambda quotas": the code and all layers, unzipped.
MOST_BYTES = 250 * 1024 * 1024
_LIBRARIES = ("pandas", "pyarrow", "pydantic", "tenacity", "typing-extensions", "tzdata")
_PROVIDED = {"boto3", "botocore", "s3transfer", "jmespath", "urllib3"}  # by Lambda's own runtime
# Tests, headers, sources, the part of Arrow that no step needs, and what an installer has noted.
_LEFT_OUT = re.compile(
    r"(^|/)(tests|__pycache__)/|^pyarrow/include/|\.(pyx|pxi|pxd|pyi)$"
    r"|^pyarrow/\w*flight|^pyarrow/libarrow_python\.so(\.\d+\.\d+\.\d+)?$"
    r"|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$|^\.\./"
)
_PLACE = re.compile(r"s3://(?P<bucket>[a-z0-9.-]{3,63})/(?P<prefix>([^/]+/)*)")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can have
_READABLE = 0o100644
_UNCHECKED = 1  # the flags of a pyc
# Later versions of the format have references, which differ with what else the process has compiled.
_WITHOUT_REFERENCES = 2
_LIBRARY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Archive:
    """A zip archive.

    Attributes:
        body: Its bytes.
        unzipped: The size of its files, in bytes.
    """

    body: bytes
    unzipped: int

    @property
    def digest(self) -> str:
        """The digest of its bytes."""
        return hashlib.sha256(self.body).hexdigest()


def code_archive(pipeline: Pipeline) -> Archive:
    """Return the archive of the library, of the pipeline's folder, and of what it imports from beside it.

    Args:
        pipeline: The pipeline.
    """
    own = next(folder for folder in package_folders(pipeline.name) if folder.is_dir())
    files = [(f"sluice/{file.relative_to(_LIBRARY)}", file) for file in _sources(_LIBRARY)]
    files += [(f"{PACKAGE}/{pipeline.name}/{file.relative_to(own)}", file) for file in _sources(own)]
    files += [(_place_of(name, file), file) for name, file in shared_modules(pipeline).items()]
    return _zipped({**dict(files), f"{PACKAGE}/__init__.py": None}, "/var/task")


def _place_of(module: str, file: Path) -> str:
    folder = module.replace(".", "/")
    return f"{folder}/__init__.py" if file.name == "__init__.py" else f"{folder}.py"


def layer_archive() -> Archive:
    """Return the archive of the libraries that steps import, as Lambda's layers have them: below ``python/``.

    Raises:
        SluiceError: this machine has other libraries than Lambda needs.
    """
    if (sys.platform, platform.machine(), sys.version_info[:2]) != ("linux", "x86_64", (3, 11)):
        raise SluiceError("a zip for Lambda is made of libraries for Linux on x86_64 and Python 3.11; provision there")
    files: dict[str, Path | None] = {}
    for name in sorted(_closure(_LIBRARIES)):
        for file in distribution(name).files or ():
            if not _LEFT_OUT.search(str(file)) and (found := Path(str(file.locate()))).is_file():
                files[f"python/{file}"] = found
    return _zipped(files, "/opt")


def store_archives(aws: Aws, pipeline: Pipeline, bucket: str, prefix: str) -> tuple[StoredArchive, StoredArchive]:
    """Put the code and the layer into S3, unless they are there, and return where they are.

    Args:
        aws: The clients of the account.
        pipeline: The pipeline.
        bucket: A bucket in the region of the pipeline.
        prefix: What their keys begin with.

    Raises:
        DeclarationError: they are too large for Lambda.
    """
    code, layer = code_archive(pipeline), layer_archive()
    unzipped = code.unzipped + layer.unzipped
    if unzipped > MOST_BYTES:
        raise DeclarationError(
            f"pipeline {pipeline.name}: the code and its libraries have {unzipped:,} bytes unzipped, and Lambda takes "
            f"{MOST_BYTES:,}; declare package='image'"
        )
    return _stored(aws, code, bucket, f"{prefix}{pipeline.name}"), _stored(aws, layer, bucket, f"{prefix}libraries")


def find_artefacts(aws: Aws, pipeline: Pipeline, image: str | None, archives: str | None) -> Artefacts:
    """Return what the steps of a pipeline are made of. Archives are made, and stored, only where a step needs them.

    Args:
        aws: The clients of the account.
        pipeline: The pipeline.
        image: The URI of the image of steps; None if it is not known.
        archives: Where archives go, as ``s3://BUCKET/PREFIX/``; None if it is not known.

    Raises:
        DeclarationError: they are too large for Lambda, or the place is none of S3.
    """
    if archives is None or not any(step.runtime.needs_archives for step in pipeline.steps):
        return Artefacts(image)
    place = _PLACE.fullmatch(archives)
    if place is None:
        raise DeclarationError(f"--archives {archives} is no place in S3; write it as s3://BUCKET/PREFIX/")
    return Artefacts(image, *store_archives(aws, pipeline, place["bucket"], place["prefix"]))


def _stored(aws: Aws, archive: Archive, bucket: str, stem: str) -> StoredArchive:
    s3, key = aws.client("s3"), f"{stem}-{archive.digest[:16]}.zip"
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if not is_absent(error):
            raise
        s3.put_object(Bucket=bucket, Key=key, Body=archive.body)
    return StoredArchive(bucket, key)


def _sources(folder: Path) -> list[Path]:
    found = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sorted(found)


def _closure(names: Iterable[str]) -> set[str]:
    """Return the names of distributions, with all that they need."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found or name in _PROVIDED:
            continue
        found.add(name)
        needs = map(Requirement, distribution(name).requires or ())
        waiting += [
            canonicalize_name(each.name) for each in needs if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return found


def _zipped(files: Mapping[str, Path | None], place: str) -> Archive:
    """Return an archive of files by name, and of their bytecode; None is an empty file.

    Args:
        files: The files by their names in the archive.
        place: The folder into which Lambda unpacks the archive.
    """
    contents = {name: b"" if file is None else file.read_bytes() for name, file in files.items()}
    for name in [each for each in contents if each.endswith(".py")]:
        folder, _, module = name.removesuffix(".py").rpartition("/")
        cached = f"{folder}/__pycache__/{module}.{sys.implementation.cache_tag}.pyc"
        contents[cached] = _bytecode(contents[name], f"{place}/{name}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(contents.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = _READABLE << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return Archive(buffer.getvalue(), sum(map(len, contents.values())))


def _bytecode(source: bytes, file: str) -> bytes:
    """Return the bytecode of a module, which Python takes without a look at the source (PEP 552, "unchecked" hash).

    What a time stamp would say is lost in a zip.
    """
    code = compile(source, file, "exec", dont_inherit=True, optimize=0)
    header = MAGIC_NUMBER + _UNCHECKED.to_bytes(4, "little") + source_hash(source)
    return header + marshal.dumps(code, _WITHOUT_REFERENCES)
