"""Registers with Airflow what it finds by name: timetable, links and listeners of tasks, parts of the API server."""

from __future__ import annotations

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from sluice_airflow import terminating
from sluice_airflow.links import TrainingJobLink
from sluice_airflow.reports import REPORTS_PATH, ReportLink, report_pages
from sluice_airflow.timetable import PartitionTimetable
from sluice_airflow.web import LOGIN_PATH, login_by_link, own_hosts_only

_APPS = [{"name": "reports of trainings", "app": report_pages, "url_prefix": REPORTS_PATH}]
# The login link works only with the SimpleAuthManager of one's own machine, which keeps the passwords in a file.
_LOGIN_APPS = [{"name": "login by link", "app": login_by_link, "url_prefix": LOGIN_PATH}]


class SluicePlugin(AirflowPlugin):
    """The plugin that Airflow loads from its plugins folder."""

    name = "sluice"
    # The plugin manager reads plain class attributes.
    timetables = [PartitionTimetable]  # noqa: RUF012
    listeners = [terminating]  # noqa: RUF012
    operator_extra_links = [ReportLink(), TrainingJobLink()]  # noqa: RUF012
    fastapi_apps = [  # noqa: RUF012
        *_APPS,
        *(_LOGIN_APPS if conf.get("core", "simple_auth_manager_passwords_file", fallback=None) else []),
    ]
    fastapi_root_middlewares = [{"name": "own hosts only", "middleware": own_hosts_only}]  # noqa: RUF012
