"""Many runs for one answer: campaign, matrix, map."""
