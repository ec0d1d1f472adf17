"""Who may call what changes something: our own processes by a secret, clients of Azure unless they are somebody's page.

A browser sends a page's request to any address, this machine's too, and without a preflight as long as it looks like a
form. So each request that may change something is looked at:

* an operators' call (`/admin/…`) carries the secret of the project in `X-Aftershock-Secret`. All processes of a testbed
  know it: from `AFTERSHOCK_PROJECT_SECRET`, else from the store, where the first one to start leaves it;
* any other call, which a client of Azure makes without a secret of ours, must not come from a foreign page. Browsers
  say so in `Sec-Fetch-Site` or `Origin`, which pages cannot forge; programs send neither. A page whose name was bound
  to this machine's address (DNS rebinding) counts as foreign: its origin is the host it asks for, but no local name.
"""

import hmac
from ipaddress import ip_address

from aiohttp import web
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
    """The secret of the testbed that this store belongs to: what its environment gives, else whoever asks first."""
    if given:
        await store.set(Keys.SECRET, given)
    elif not await store.exists(Keys.SECRET):
        await store.set(Keys.SECRET, secret_token(), nx=True)
    return text(await store.get(Keys.SECRET) or b"")


def matches(given: str | None, secret: str) -> bool:
    """Whether the secret was given; an empty one opens nothing."""
    return bool(secret) and hmac.compare_digest((given or "").encode(), secret.encode())


def check(request: web.Request, secret: str) -> None:
    """
    Raises:
        ServiceError: 403, when the caller of something that may change the testbed must not.
    """
    if request.method in SAFE_METHODS:
        return
    if is_foreign_page(request):
        raise ServiceError(FOREIGN_PAGE, method=request.method, path=request.path)
    if is_admin(request) and not matches(request.headers.get(SECRET_HEADER), secret):
        raise ServiceError(NEEDS_SECRET, method=request.method, path=request.path)


def refusals(route: Route) -> tuple[ErrorSpec, ...]:
    """What `check` answers to the wrong caller of a route."""
    if route.method in SAFE_METHODS:
        return ()
    return (FOREIGN_PAGE, NEEDS_SECRET) if route.access == "project" else (FOREIGN_PAGE,)


def is_admin(request: web.Request) -> bool:
    """Asked of the route and not of the path: a storage account may be called `admin`."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical.startswith(ADMIN)


def is_foreign_page(request: web.Request) -> bool:
    """Whether a browser says that a page of another origin sent this."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site not in OWN_SITES:
        return True
    return origin is not None and not (_host_of(origin) == request.host and _is_local_name(request.host))


def _host_of(origin: str) -> str:
    """`host[:port]` of an origin; empty for `null`, which a sandboxed page or a file has."""
    return origin.partition("://")[2]


def _is_local_name(host: str) -> bool:
    """An address, `localhost`, or a name without a dot, as containers have: no name that a stranger could own."""
    try:
        name = URL(f"http://{host}").host or ""
        return "." not in name or bool(ip_address(name))
    except ValueError:
        return False
