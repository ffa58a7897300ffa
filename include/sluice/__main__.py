"""Runs the command line as ``python -m sluice`` (see :mod:`sluice.cli.app`)."""

from sluice.cli.app import main

main()
