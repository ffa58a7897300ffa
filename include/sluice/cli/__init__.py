"""The command line ``sluice``."""
