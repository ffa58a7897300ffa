"""Where a step runs: one module for each runtime."""
