"""Thin Airflow classes over the library: a timetable, sensors, triggers, operators."""
