"""The simulated machine: the clock, the order of things, processes, and the boundary to what is real."""
