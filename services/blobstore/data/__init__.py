"""Reads, writes and listings of blobs, in Azure's dialect."""
