"""The hysteresis map: over two settings, where a bounded stall causes a collapse, and where the system recovers.

Every point is measured with a few short runs of the real services; there is no model.
"""
