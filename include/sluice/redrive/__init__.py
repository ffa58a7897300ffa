"""Sends quarantined and dead-lettered events back to their source, in order, and none twice."""
