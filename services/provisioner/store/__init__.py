"""The journal that survives a provisioner's death."""
