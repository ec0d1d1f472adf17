"""Third-party clients against one testbed of real processes that ends with this package."""
