"""Linear Learner, by its public documentation and captures of its logs.

The service's own code is closed. What neither source shows is our choice, which a comment marks.
"""
