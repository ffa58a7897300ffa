"""Drops: objects that someone else writes to the bucket."""
