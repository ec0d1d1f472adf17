"""The durable journal of the provisioner."""
