"""The managed-identity client: retry layers, guards, token cache, single flight."""
