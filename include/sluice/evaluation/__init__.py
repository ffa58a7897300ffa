"""Judges a trained model by the scores of its artefact, before and after it goes live."""
