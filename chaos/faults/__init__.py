"""Faults, one file each: effect, parameters, and how it is reverted. `registry.CATALOGUE` lists all kinds."""
