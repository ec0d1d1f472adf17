"""`python -m chaos.controller`: the controller of a compose project, configured from the environment."""

import os
import sys

from chaos.exit_codes import refused
from services.chassis import exit_codes, interrupts


def serve() -> None:
    from chaos.controller.serve import serve_compose
    from chaos.controller.settings import ControllerSettings
    from services.chassis.environment import from_environment

    interrupts.run(serve_compose(from_environment(ControllerSettings, os.environ)))


if __name__ == "__main__":
    sys.exit(exit_codes.run("controller", serve, refused, keep_traceback=False, last=True))
