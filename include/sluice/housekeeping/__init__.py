"""Finds and removes what nothing needs any more: of models and their trainings, and of the datasets of the lake."""
