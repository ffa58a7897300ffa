"""Sluice: ordered event streams into a time-partitioned lake, and a live model trained on it.

The library behind the DAGs. It never imports Airflow; its parts call AWS through the clients that they are given.
"""
