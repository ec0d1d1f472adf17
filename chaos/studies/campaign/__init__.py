"""Many runs at once: seeds, perturbed parameters, negative controls."""
