"""For tests of programs that use the embedded cloud: clouds of a test's own, small requests, and waiting."""
