"""The files of S3's objects: a put that can't be stored is refused; after a kill there is the old or the new object.

Restores: S3 never stores a part of an object; after a success, it has the whole. The emulator keeps an object as two
files, its bytes and a sidecar that describes them and the object's former versions. The released emulator replaces the
two one after the other, and answers 200 even if it could not write them.

Source: Amazon S3 API Reference, PutObject; User Guide, "Amazon S3 data consistency model" (updates are atomic).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core.responses import get_account_id

from localcloud.emulator import paired_files
from localcloud.emulator.failures import failure

_BY_KEY = ("_object_versions", "_object_tags", "_object_acl", "_object_annotations")

Handler = Callable[..., Awaitable[Any]]

_failures: ContextVar[list[str]] = ContextVar("failures")  # of the request, or of the emulator's start


def install(data: Path) -> None:
    """Finish or undo what a kill interrupted in the folder, load the objects, and replace the emulator's functions.

    Raises:
        OSError: The folder can't be read, so the emulator would start without its objects.
    """
    paired_files.finish(data)
    failures: list[str] = []
    _failures.set(failures)
    logging.getLogger("s3").addFilter(_note_failure)
    from ministack.services import s3  # which loads all objects

    if failures:
        raise OSError(failures[0])
    s3._persist_object = _persist_object
    app.SERVICE_HANDLERS["s3"] = _refusing(app.SERVICE_HANDLERS["s3"])


def _persist_object(bucket: str, key: str, record: dict[str, Any]) -> None:
    from ministack.services import s3

    path = s3._object_disk_path(bucket, key)
    described = {**s3._object_meta_from_record(record), **s3._key_history_meta(bucket, key), "key": key}
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        paired_files.replace(Path(path), record.get("body"), json.dumps(described).encode())
        record["body"] = None
        s3._remove_key_files(s3._other_key_disk_path(os.path.join(s3.DATA_DIR, get_account_id(), bucket), key, path))
    except OSError as error:
        s3.logger.warning("Failed to persist S3 object %s/%s: %s", bucket, key, error)


def _note_failure(record: logging.LogRecord) -> bool:
    """Record a failure to read, write or remove a file, which the emulator only logs."""
    message = record.getMessage()
    if message.startswith("Failed to"):
        _failures.get([]).append(message)
    return True


def _refusing(handle: Handler) -> Handler:
    async def call(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any) -> Any:
        failures: list[str] = []
        _failures.set(failures)
        answer = await handle(method, path, headers, body, query)
        if not failures:
            return answer
        _load_again(path.strip("/").partition("/")[0])
        return failure("s3", headers, failures[0])

    return call


def _load_again(bucket: str) -> None:
    """Replace the bucket's objects in memory by those of its files."""
    from ministack.services import s3

    account = get_account_id()
    held = s3._buckets._data.get((account, bucket))
    if held is None:
        return
    held["objects"].clear()
    for name in _BY_KEY:
        of_keys = getattr(s3, name)._data
        for key in [key for key in of_keys if key[0] == account and key[1][0] == bucket]:
            del of_keys[key]
    folder = os.path.join(s3.DATA_DIR, account, bucket)
    if os.path.isdir(folder):
        s3._load_persisted_bucket(account, bucket, folder)
