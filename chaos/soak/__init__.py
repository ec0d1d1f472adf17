"""Whether anything grows: a day of base load in virtual time (`make soak`), a while in Docker (`make soak-docker`)."""
