"""Storage accounts and the extension packages in them: one region's blob service, in Azure's dialect."""
