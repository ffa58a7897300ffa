"""The example pipeline: every flight that left New York in 2013, replayed as an ordered stream of events."""
