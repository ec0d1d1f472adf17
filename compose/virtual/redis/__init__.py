"""Redis in the loop, in virtual time: redis-py's client, fakeredis' commands, and our own blocking reads."""
