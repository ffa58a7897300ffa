"""The embedded cloud's tests. A package, because others install one of this name."""
