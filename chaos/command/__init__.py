"""The command line: the click group and the command `run`."""
