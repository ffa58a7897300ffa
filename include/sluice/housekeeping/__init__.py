"""Finds and removes what no deployment needs any more: configurations, models, artefacts, scores, snapshots, jobs."""
