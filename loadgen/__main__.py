"""`python -m loadgen`: a load generator as a process."""

from loadgen.app import create_app
from services.chassis.process import main

main("loadgen", create_app)
