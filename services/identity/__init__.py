"""Managed identities: one node of the regional token service. It queues, slows down, crashes and warms up."""
