"""The simulated machine: virtual clock, scheduling order, processes, and the boundary to the real machine."""
