"""What a process with a real address does so that no caller stays with the wrong neighbour.

Containers that are restarted together may swap addresses. A caller that looked a name up just before, or whose first
packet was sent to the old address again by TCP, is then connected to another instance, and keep-alive would leave it
there (seen: Prometheus recorded West US as provisioner-eastus for four minutes).
"""

import re

from aiohttp import web
from aiohttp.typedefs import Handler

from services.chassis.settings import SettingsError

METRICS_PATH = "/metrics"
_INSTANCE = re.compile(r"(blobstore|identity|provisioner|router)-[a-z0-9]+(-\d+)?|loadgen|controller")
"""Host names of processes of a testbed. Any other host name may be an alias of the user's, or a storage account."""


def guard_address(app: web.Application, name: str) -> None:
    """Adds both measures to the application of the instance `name`."""

    @web.middleware
    async def refuse_misdirected(request: web.Request, handler: Handler) -> web.StreamResponse:
        """421 and the end of the connection (RFC 9110, 15.5.20): the caller looks the name up again."""
        wanted = request.host.partition(":")[0]
        if wanted == name or not _INSTANCE.fullmatch(wanted):
            return await handler(request)
        answer = web.Response(status=421, text=f"This is {name}, not {wanted}.\n")
        _close(answer)
        return answer

    app.middlewares.insert(0, refuse_misdirected)
    app.on_response_prepare.append(_close_after_scrape)


async def listen(runner: web.BaseRunner, host: str, port: int, backlog: int = 128) -> None:
    """Accepts connections from now on.

    Raises:
        SettingsError: this machine has no such address, or it is in use.
    """
    try:
        await web.TCPSite(runner, host, port, backlog=backlog).start()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a host name"
        raise SettingsError(f"AFTERSHOCK_HOST, AFTERSHOCK_PORT: cannot listen on {host!r}, {port}: {reason}") from error


async def _close_after_scrape(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """A scraper has no use for a refusal: it would record a gap. Each scrape looks the name up."""
    if request.path == METRICS_PATH:
        _close(response)


def _close(response: web.StreamResponse) -> None:
    response.force_close()
    response.headers["Connection"] = "close"
