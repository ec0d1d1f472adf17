"""Soak tests for leaks: a day of base load in virtual time (`make soak`), or in Docker (`make soak-docker`)."""
