"""What the emulator's record of a function means on this machine: an image, a command, limits and variables."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.services import lambda_svc, sts

from localcloud.images import Image, find

Record = Mapping[str, Any]
"""The emulator's record of a function, or of a version: its configuration and its code."""

_MIB = 1024 * 1024
_PYTHONS = ("python", "python3")
_SITE_PACKAGES = "lib/python3.11/site-packages"
_HASHED = 16  # characters of a folder's name


@dataclass(frozen=True)
class Limits:
    """What an execution environment may take: seconds of an invocation, bytes of memory, bytes of ``/tmp``."""

    seconds: float
    memory: int
    storage: int


@dataclass(frozen=True)
class Function:
    """A version of a function, as it is run.

    Attributes:
        key: Changes with the code, the configuration and the image's files. Environments of the same key are alike.
        name: The function's name.
        version: Such as ``$LATEST``.
        region: The region of its ARN.
        image: What takes the place of its image or runtime.
        command: The command line of its runtime.
        handler: The handler, as ``_HANDLER`` has it.
        code: The folders to import from, before the image's; the first one is the task's root.
        working_folder: Where the runtime starts; None for the scratch folder.
        variables: The function's own environment variables.
        credentials: The variables with the credentials of its role.
        limits: What an environment may take.
        log_group: The group of its logs.
        log_format: ``Text`` or ``JSON``.
    """

    key: str
    name: str
    version: str
    region: str
    image: Image
    command: tuple[str, ...]
    handler: str
    code: tuple[Path, ...]
    working_folder: str | None
    variables: Mapping[str, str]
    credentials: Mapping[str, str]
    limits: Limits
    log_group: str
    log_format: str


class Deployments:
    """Reads records of functions, and unpacks their code once.

    Args:
        images: What runs in place of images and runtimes, by name.
        folder: Gets the code; it is a cache.
    """

    def __init__(self, images: Mapping[str, Image], folder: Path) -> None:
        self._images = images
        self._folder = folder
        self._lock = threading.Lock()

    def function(self, record: Record) -> Function:
        """Return the function of a record.

        Raises:
            MissingImageError: Nothing on this machine takes the place of its image or runtime.
        """
        config = record["config"]
        is_image = config["PackageType"] == "Image"
        image = find(self._images, config["ImageUri"] if is_image else config["Runtime"])
        settings = config.get("ImageConfigResponse", {}).get("ImageConfig", {}) if is_image else {}
        arguments = tuple(settings.get("Command") or ()) or ((config["Handler"],) if config["Handler"] else ())
        logging = config.get("LoggingConfig") or {}
        return Function(
            key=self.key(record),
            name=config["FunctionName"],
            version=config["Version"],
            region=config["FunctionArn"].split(":")[3],
            image=image,
            command=(*_entry_point(settings.get("EntryPoint"), image), *arguments),
            handler=arguments[0] if arguments else "",
            code=() if is_image else self._code(record),
            working_folder=settings.get("WorkingDirectory"),
            variables=(config.get("Environment") or {}).get("Variables", {}),
            credentials=_credentials(config),
            limits=Limits(
                seconds=config["Timeout"],
                memory=config["MemorySize"] * _MIB,
                storage=(config.get("EphemeralStorage") or {}).get("Size", 512) * _MIB,
            ),
            log_group=logging.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}",
            log_format=logging.get("LogFormat", "Text"),
        )

    def key(self, record: Record) -> str:
        """Return the `Function.key` of a record, without unpacking its code."""
        config = record["config"]
        image = find(self._images, config["ImageUri"] if config["PackageType"] == "Image" else config["Runtime"])
        arn = ":".join(config["FunctionArn"].split(":")[:7])
        return f"{arn}:{config['Version']} {config['RevisionId']} {image.version()}"

    def _code(self, record: Record) -> tuple[Path, ...]:
        """Return the folders of a zip, and of its layers what Python imports from ``/opt``.

        Source: AWS Lambda Developer Guide, "Managing Lambda dependencies with layers": layers are extracted into
        ``/opt`` in their order, and of two files of one name the later one counts; "Working with layers for Python
        Lambda functions": the folders below ``/opt`` that are imported from.
        """
        code = self._unpacked([record["code_zip"] or b""])
        layers = [lambda_svc._resolve_layer_zip(layer) or b"" for layer in record["config"].get("Layers") or []]
        if not layers:
            return (code,)
        opt = self._unpacked(layers)
        return code, opt / "python" / _SITE_PACKAGES, opt / "python"

    def _unpacked(self, contents: Sequence[bytes]) -> Path:
        """Return the folder into which some zips are extracted, one over the other."""
        digests = b"".join(hashlib.sha256(content).digest() for content in contents)
        folder = self._folder / hashlib.sha256(digests).hexdigest()[:_HASHED]
        with self._lock:
            if not folder.exists():
                unfinished = folder.with_suffix(".unfinished")
                unfinished.mkdir(parents=True, exist_ok=True)
                for content in filter(None, contents):
                    with zipfile.ZipFile(io.BytesIO(content)) as archive:
                        lambda_svc._extract_zip_preserving_mode(archive, str(unfinished))
                unfinished.rename(folder)
        return folder


def _entry_point(given: list[str] | None, image: Image) -> tuple[str, ...]:
    """Return the command without its arguments; the interpreter of an image is where it is on this machine."""
    if not given:
        return (str(image.python), "-m", "awslambdaric")
    first = Path(given[0]).name
    is_python = first in _PYTHONS or first.startswith("python3.")
    return (str(image.python) if is_python else given[0], *given[1:])


def _credentials(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the credentials of a session of the function's role, which STS then knows."""
    account, role, name = config["FunctionArn"].split(":")[4], config["Role"], config["FunctionName"]
    digest = hashlib.sha256(f"{config['FunctionArn']}:{role}".encode()).hexdigest()
    key, secret, token = f"ASIA{digest[:16].upper()}", digest, digest[::-1]
    role_name = role.rpartition("/")[2]
    session = {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{role_name}/{name}",
        "UserId": f"{role_name}:{name}",
        "SecretAccessKey": secret,
        "SessionToken": token,
    }
    sts.register_session(key, session)
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
