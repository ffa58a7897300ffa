"""Scores partitions of the lake with the live model, in batch: the scores are a dataset, as a step's output is."""
