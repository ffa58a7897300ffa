"""Watches a live model: its answers against the outcomes, the drift of its features, its endpoint and its sources."""
