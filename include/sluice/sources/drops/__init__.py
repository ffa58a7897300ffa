"""Drops: objects that another system writes to the bucket."""
