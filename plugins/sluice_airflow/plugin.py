"""Registers with Airflow what it has to find by name: timetables of serialized DAGs, and parts of the API server."""

from __future__ import annotations

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from sluice_airflow.timetable import PartitionTimetable
from sluice_airflow.web import LOGIN_PATH, login_by_link, own_hosts_only

# The login link belongs to the SimpleAuthManager of a machine of one's own, whose passwords lie in a file.
_LOGIN_APPS = [{"name": "login by link", "app": login_by_link, "url_prefix": LOGIN_PATH}]


class SluicePlugin(AirflowPlugin):
    name = "sluice"
    # The plugin manager reads plain class attributes.
    timetables = [PartitionTimetable]  # noqa: RUF012
    fastapi_apps = _LOGIN_APPS if conf.get("core", "simple_auth_manager_passwords_file", fallback=None) else []
    fastapi_root_middlewares = [{"name": "own hosts only", "middleware": own_hosts_only}]  # noqa: RUF012
