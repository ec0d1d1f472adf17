"""Microsoft.Storage: accounts and containers over Azure Resource Manager."""
