"""Reads, writes and listings of blobs, with Azure's API."""
