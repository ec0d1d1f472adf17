"""`Microsoft.Storage`: accounts and containers in Azure Resource Manager."""
