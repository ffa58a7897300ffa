"""Frozen snapshots of a step's partitions, split by time into training channels."""
