"""Microsoft.Compute over Azure Resource Manager: validation, views, throttling."""
