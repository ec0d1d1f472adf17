"""A run while it goes on: what a moment shows, in the terminal and in words."""
