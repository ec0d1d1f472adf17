"""Clients that nobody here wrote, against one testbed of real processes that ends with this package."""
