"""State of a blob service: in memory and in Redis."""
