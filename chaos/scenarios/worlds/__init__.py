"""Scenarios of studies; they are not listed among those for `run`."""
