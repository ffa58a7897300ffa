"""Registers with Airflow what it has to find by name when it loads a serialized DAG."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from sluice_airflow.timetable import PartitionTimetable


class SluicePlugin(AirflowPlugin):
    name = "sluice"
    timetables = [PartitionTimetable]  # noqa: RUF012 - the plugin manager reads a plain class attribute
