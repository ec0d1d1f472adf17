"""The calls of the API, one module and one class of `Calls` per subject."""
