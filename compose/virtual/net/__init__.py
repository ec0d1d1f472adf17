"""The in-memory network: hosts, links and link faults, byte streams, and HTTP over them."""
