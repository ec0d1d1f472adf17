"""Campaign: runs over seeds, perturbed parameters and negative controls."""
