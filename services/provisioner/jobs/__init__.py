"""The queue of provisioning jobs and the workers that carry them out."""
