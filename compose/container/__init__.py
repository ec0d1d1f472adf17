"""Programs that run inside containers of the testbed; standard library only."""
