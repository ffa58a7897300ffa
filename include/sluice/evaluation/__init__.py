"""Judges a trained model by what its artefact scores, before and after it goes live."""
