"""The hysteresis map: for two settings, which systems a bounded stall tips, and which come back by themselves.

What surprises: nothing here models anything. Every point is a handful of short runs of the real services.
"""
