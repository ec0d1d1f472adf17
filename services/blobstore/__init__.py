"""The blob service of one region: storage accounts and extension packages, with Azure's API."""
