"""One fault, one file: what it does, its parameters, its way back. `registry.CATALOGUE` lists them all."""
