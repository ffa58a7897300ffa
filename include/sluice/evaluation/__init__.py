"""Judges models on the same frozen rows, by the answers that SageMaker gives for them, and decides which goes live."""
