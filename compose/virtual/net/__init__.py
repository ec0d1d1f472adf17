"""The in-memory network: hosts, links and their faults, byte streams, and HTTP over them."""
