"""Sends what was quarantined or dead-lettered back to its source, in order and nothing twice."""
