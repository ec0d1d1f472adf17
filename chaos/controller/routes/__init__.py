"""The routes of the API, one module per subject with a function `routes(testbed)`."""
