"""Studies over many runs: campaign, matrix, map."""
