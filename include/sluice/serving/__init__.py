"""Deploys a model as a live endpoint, reads back what is live, probes it, and puts back what served before."""
