"""`python -m chaos.controller`: the controller of a compose project, from the environment."""

import asyncio
import os
import sys

from chaos.controller.serve import ControllerFailed, serve_compose, settings_from

if __name__ == "__main__":
    import uvloop

    try:
        uvloop.run(serve_compose(settings_from(dict(os.environ))))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(0)
    except (ControllerFailed, OSError, ValueError) as error:
        print(f"controller: {error}", file=sys.stderr)
        sys.exit(2)
