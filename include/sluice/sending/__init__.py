"""Puts events on a queue or a stream, in order within each group."""
