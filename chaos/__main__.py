"""`python -m chaos` is `aftershock`."""

from chaos.cli import main

main()
