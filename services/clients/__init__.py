"""How one service calls another: the managed identity client and Azure Resource Manager calls."""
