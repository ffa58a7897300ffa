"""Sluice's tests. A package, because a dependency of the workers installs another one of this name."""
