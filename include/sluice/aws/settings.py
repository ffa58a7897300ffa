"""Loads the settings of the command line: from the environment, else from ``.env`` or ``.env.example``."""

from __future__ import annotations

import os
import re
from io import StringIO
from pathlib import Path

from dotenv import find_dotenv, load_dotenv

_CHECKOUT = Path(__file__).resolve().parents[3]
# The library uses these settings only. The others are for Airflow and the embedded cloud.
_READ = re.compile(r"\s*(?:export\s+)?(?:AWS_\w+|LOCALCLOUD_\w+|SLUICE_\w+|\w*_PROXY)\s*=", re.IGNORECASE)
# Credentials, endpoints and region belong together: an environment with credentials has the rest, too.
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


def load_settings() -> Path | None:
    """Set the variables for AWS that the environment lacks.

    They come from the nearest ``.env`` from the working folder upwards, else from the checkout's ``.env``, else from
    its ``.env.example``. ``${PWD}`` in the file is replaced by the file's folder. An environment with AWS credentials
    is complete: no file is read.

    Returns:
        The file that was read, if any.
    """
    if any(os.environ.get(name) for name in _CREDENTIALS):
        return None
    found = [Path(find_dotenv(usecwd=True) or _CHECKOUT / ".env"), _CHECKOUT / ".env", _CHECKOUT / ".env.example"]
    file = next((each for each in found if each.is_file()), None)
    if file is not None:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if _READ.match(line)]
        load_dotenv(stream=StringIO("".join(lines).replace("${PWD}", str(file.parent))), override=False)
    return file
