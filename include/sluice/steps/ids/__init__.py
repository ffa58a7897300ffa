"""An id counts once in the whole dataset: what the partitions of a ``Conform`` step know of each other's ids."""
