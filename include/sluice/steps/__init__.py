"""Runs one step over one partition, and persists its rows and what it quarantined."""
