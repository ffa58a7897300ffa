"""Makes what a pipeline needs at AWS."""
