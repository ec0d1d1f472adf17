"""The queue of provisioning jobs and the worker that runs them."""
