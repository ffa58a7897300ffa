"""A raw record: what came, verbatim, beside what is known of it."""
