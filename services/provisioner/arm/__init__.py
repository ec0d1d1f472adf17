"""`Microsoft.Compute` in Azure Resource Manager: validation, views, throttling."""
