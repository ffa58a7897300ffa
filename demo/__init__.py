"""``make demo``: real flights from a queue to a live model, with a report."""
