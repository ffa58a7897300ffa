"""The embedded cloud's tests. They are a package, as other distributions install one of this name."""
