"""The policy job: inventory snapshot, targeting, region waves, health gate; and the rollback of its changes."""
