"""Runs one step over one partition and keeps what it made: contracts, quarantine, persisted intermediates."""
