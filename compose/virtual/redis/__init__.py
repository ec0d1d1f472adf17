"""Redis in the loop, on virtual time: redis-py's client, fakeredis' commands, blocking reads of our own."""
