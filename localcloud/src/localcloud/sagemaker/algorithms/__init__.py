"""The algorithms whose containers the stand-in takes the place of."""
