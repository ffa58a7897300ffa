"""What can go wrong with the processes of the embedded cloud."""


class CloudError(Exception):
    """One line that says what failed, where, and what to do next."""
