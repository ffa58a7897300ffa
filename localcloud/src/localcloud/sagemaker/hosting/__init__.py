"""Endpoints: configurations, deployments, the shift of traffic, invocations and their metrics."""
