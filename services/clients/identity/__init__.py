"""Tokens and identities as callers get them: retry layers, guards, token cache, single flight."""
