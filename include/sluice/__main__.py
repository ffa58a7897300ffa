"""``python -m sluice``: the command line (see :mod:`sluice.cli`)."""

from sluice.cli import main

main()
