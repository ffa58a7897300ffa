"""The algorithms whose containers the stand-in replaces."""
