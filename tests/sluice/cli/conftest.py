"""The fixtures of the command line's tests."""

from tests.sluice.cli.running import proven, sluice  # noqa: F401
