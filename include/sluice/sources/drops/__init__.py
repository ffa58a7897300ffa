"""Objects that someone else drops into the bucket."""
