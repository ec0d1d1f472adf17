"""Clients for calls between services: managed identity and Azure Resource Manager."""
