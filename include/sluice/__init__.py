"""Sluice: ordered event streams into a time-partitioned lake, and a live model trained on it.

The library behind the DAGs. It never imports Airflow; its parts meet AWS through clients that are handed in.
"""
