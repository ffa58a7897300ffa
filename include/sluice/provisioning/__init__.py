"""Provisions a pipeline at AWS: renders its CloudFormation template, and creates or updates its stack."""
