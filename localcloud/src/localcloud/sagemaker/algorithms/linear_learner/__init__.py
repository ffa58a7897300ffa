"""Linear Learner, as its public documentation and captures of its logs describe it.

The service's own code is closed: what neither tells is chosen here, and said where it is chosen.
"""
