"""One folder per pipeline. Each declares ``PIPELINE`` in its ``pipeline.py``; the DAGs follow from it."""
