"""Managed identities: one node of the regional token service, which queues, slows down, crashes and warms up."""
