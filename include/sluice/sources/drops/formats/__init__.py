"""The readers of dropped files, one module a format: bytes in, a table out, or why there is none."""
