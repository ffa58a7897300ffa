"""For tests of programs that use the embedded cloud: clouds for one test, small requests, and waiting."""
