"""Endpoints: what is deployed, how traffic is shifted to it, who answers, and what is counted."""
