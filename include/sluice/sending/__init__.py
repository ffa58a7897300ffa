"""Sends events to a queue or a stream, in order within each group."""
