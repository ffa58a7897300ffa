"""A raw record: the received message, verbatim, beside what was parsed from it."""
