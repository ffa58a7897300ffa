"""Connects the library to Airflow: operators, sensors, triggers, a timetable, an executor, parts of the API server."""
