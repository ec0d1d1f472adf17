"""Composition of the testbed: which instances exist, and the three runtimes that run them."""
