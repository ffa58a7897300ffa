"""The settings of the command line: what the environment says, else the checkout's ``.env`` or ``.env.example``."""

from __future__ import annotations

import os
import re
from io import StringIO
from pathlib import Path

from dotenv import find_dotenv, load_dotenv

_CHECKOUT = Path(__file__).resolve().parents[3]
# Of all settings, these alone matter to the library; the rest are Airflow's and the embedded cloud's.
_READ = re.compile(r"\s*(?:export\s+)?(?:AWS_\w+|LOCALCLOUD_\w+|\w*_PROXY)\s*=", re.IGNORECASE)
# Keys, endpoints and region belong together: who brings credentials brings the rest, as for any tool of AWS.
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


def load_settings() -> Path | None:
    """Set the variables of AWS that the environment lacks; the file that they are from, None if none was read.

    The file is the nearest ``.env`` from the working folder upwards, else the checkout's own, else its
    ``.env.example``. ``${PWD}`` in it means the file's own folder, wherever the command is called from. An environment
    that has AWS credentials is complete: then no file is read.
    """
    if any(os.environ.get(name) for name in _CREDENTIALS):
        return None
    found = [Path(find_dotenv(usecwd=True) or _CHECKOUT / ".env"), _CHECKOUT / ".env", _CHECKOUT / ".env.example"]
    file = next((each for each in found if each.is_file()), None)
    if file is not None:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if _READ.match(line)]
        load_dotenv(stream=StringIO("".join(lines).replace("${PWD}", str(file.parent))), override=False)
    return file
