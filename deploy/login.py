"""The login to Airflow's web UI on this machine: one user, a generated password, and a link that logs in."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

_LOGIN_PAGE = "sluice/login/"  # plugins/sluice_airflow/web.py serves it


def ensure_password(settings: Mapping[str, str]) -> None:
    """Generate the user's password into a file that only its owner can read, unless the file has one.

    Airflow's SimpleAuthManager reads the file: a JSON object of passwords by user name.

    Args:
        settings: The variables of .env or .env.example, with their values.
    """
    file, user = _file(settings), _user(settings)
    passwords = json.loads(file.read_text()) if file.exists() else {}
    if user in passwords:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        json.dump({**passwords, user: secrets.token_urlsafe(24)}, output)
    unfinished.replace(file)


def login_link(settings: Mapping[str, str]) -> str:
    """Return the address that logs in. The password is its fragment, which a browser sends to no server."""
    password = json.loads(_file(settings).read_text())[_user(settings)]
    return f"{settings['AIRFLOW__API__BASE_URL'].rstrip('/')}/{_LOGIN_PAGE}#{password}"


def _file(settings: Mapping[str, str]) -> Path:
    return Path(settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])


def _user(settings: Mapping[str, str]) -> str:
    return settings["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"].partition(":")[0]
