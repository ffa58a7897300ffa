"""Small inputs that people who do this job have tripped over, each with the right answer."""
