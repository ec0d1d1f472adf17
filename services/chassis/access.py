"""Access to calls that change state: the project secret for our own processes, a cross-site check for Azure clients.

A browser lets any page send requests to any address, this machine included, and without a preflight if the request
looks like a form. Every request that may change state is therefore checked:

* an operator call (`/admin/…`) must carry the project secret in `X-Aftershock-Secret`. All processes of a testbed
  know it: from `AFTERSHOCK_PROJECT_SECRET`, else from the store, where the first process to start writes it;
* any other call comes from an Azure client, which has no secret. It must not come from a page of another origin.
  Browsers send `Sec-Fetch-Site` or `Origin`, which pages cannot forge; programs send neither. DNS rebinding is refused
  too: there the origin equals the requested host, but the host is not a local name.
"""

import hmac
from contextlib import suppress
from ipaddress import ip_address

from aiohttp import web
from redis.exceptions import OutOfMemoryError
from yarl import URL

from services.chassis.errors import ErrorSpec, ServiceError
from services.chassis.routes import Route
from services.chassis.store import Keys, Store, text
from services.chassis.streams import secret_token

SECRET_HEADER = "X-Aftershock-Secret"
ADMIN = "/admin/"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})

NEEDS_SECRET = ErrorSpec("ProjectSecretRequired", 403, "{method} {path} is for processes of this testbed only.")
FOREIGN_PAGE = ErrorSpec("ForeignPage", 403, "A page of another origin must not call {method} {path}.")


async def shared_secret(store: Store, given: str = "") -> str:
    """The secret of the testbed that uses this store: the given one, else the stored one, else a new one.

    A full store keeps the one it has.
    """
    if given:
        with suppress(OutOfMemoryError):
            await store.set(Keys.SECRET, given)
    elif (kind := text(await store.type(Keys.SECRET))) != Keys.TYPES[Keys.SECRET]:
        if kind != "none":
            await store.delete(Keys.SECRET)
        await store.set(Keys.SECRET, secret_token(), nx=True)
    return text(await store.get(Keys.SECRET) or b"")


def matches(given: str | None, secret: str) -> bool:
    """Whether `given` equals the secret, in constant time. An empty secret matches nothing.

    A header may hold any bytes; aiohttp passes those that are not UTF-8 as lone surrogates.
    """
    return bool(secret) and hmac.compare_digest((given or "").encode(errors="surrogateescape"), secret.encode())


def check(request: web.Request, secret: str) -> None:
    """Checks the caller of a request that may change state; safe methods pass.

    Raises:
        ServiceError: 403 for a page of another origin, or for an operator call without the secret.
    """
    if request.method in SAFE_METHODS:
        return
    if is_foreign_page(request):
        raise ServiceError(FOREIGN_PAGE, method=request.method, path=request.path)
    if is_admin(request) and not matches(request.headers.get(SECRET_HEADER), secret):
        raise ServiceError(NEEDS_SECRET, method=request.method, path=request.path)


def refusals(route: Route) -> tuple[ErrorSpec, ...]:
    """The errors that `check` can raise for a route."""
    if route.method in SAFE_METHODS:
        return ()
    return (FOREIGN_PAGE, NEEDS_SECRET) if route.access == "project" else (FOREIGN_PAGE,)


def is_admin(request: web.Request) -> bool:
    """Whether the request was routed to `/admin/…`. The path alone does not tell: a storage account may be `admin`."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical.startswith(ADMIN)


def is_foreign_page(request: web.Request) -> bool:
    """Whether the browser's headers say that a page of another origin sent this."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site not in OWN_SITES:
        return True
    return origin is not None and not (_host_of(origin) == request.host and _is_local_name(request.host))


def _host_of(origin: str) -> str:
    """`host[:port]` of an origin; empty for `null`, the origin of sandboxed pages and files."""
    return origin.partition("://")[2]


def _is_local_name(host: str) -> bool:
    """Whether it is an IP address, `localhost` or a name without a dot (a container): nothing a third party can own."""
    try:
        name = URL(f"http://{host}").host or ""
        return "." not in name or bool(ip_address(name))
    except ValueError:
        return False
