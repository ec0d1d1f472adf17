"""Presentation of a run: `verdict.json`, a table on the terminal, a self-contained page, a comparison of two runs.

Everything is computed from the record and its verdict, never from live services.
"""
