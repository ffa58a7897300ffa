"""The example pipeline: every flight that left New York in 2013, sent as ordered events."""
