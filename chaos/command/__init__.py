"""What the command line adds to the layers below: the click group and the command `run`."""
