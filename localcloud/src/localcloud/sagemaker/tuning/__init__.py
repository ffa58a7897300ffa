"""Hyperparameter tuning jobs, which run training jobs."""
