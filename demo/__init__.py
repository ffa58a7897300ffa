"""The whole main job on real flights, with a report: ``make demo``."""
