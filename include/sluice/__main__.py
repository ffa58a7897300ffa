"""``python -m sluice``: the command line (see :mod:`sluice.cli.app`)."""

from sluice.cli.app import main

main()
