"""`python -m chaos.controller`: the controller of a compose project, from the environment."""

import os
import sys

from chaos.exit_codes import refused
from services.chassis import exit_codes, interrupts


def serve() -> None:
    from chaos.controller.serve import serve_compose, settings_from

    interrupts.run(serve_compose(settings_from(dict(os.environ))))


if __name__ == "__main__":
    sys.exit(exit_codes.run("controller", serve, refused, keep_traceback=False))
