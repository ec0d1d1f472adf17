"""Random SIGKILLs to the running Docker testbed (`make kills`), and what must survive them."""
