"""The operator's own door: accounts, containers and blobs without tokens, limits or propagation delay.

Real storage clients refuse to send a token over plain HTTP, so tests seed what they need here.
"""

from typing import Any, Literal

from aiohttp import web

from services.blobstore.settings import AccountSeed
from services.blobstore.state import Account
from services.blobstore.storage import Storage
from services.blobstore.writes import check_container_name, store_blob, write_check
from services.chassis.bodies import read_json
from services.chassis.clock import Clock
from services.chassis.errors import INVALID_SETTING, ServiceError
from services.chassis.settings import Settings, SettingsError, validate

ACTOR = "admin"
ACCOUNT = "/admin/accounts/{account:[^/]+}"
CONTAINER = ACCOUNT + "/{container:[^/]+}"
BLOB = CONTAINER + "/{blob:.+}"


class ContainerSeed(Settings):
    """Body of `PUT /admin/accounts/{account}/{container}`."""

    access: Literal["None", "Blob", "Container"] = "None"
    metadata: dict[str, str] = {}


class Admin:
    """Routes below `/admin/accounts`."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/admin/accounts", self.list_accounts),
            web.get(ACCOUNT, self.get_account),
            web.put(ACCOUNT, self.put_account),
            web.delete(ACCOUNT, self.delete_account),
            web.put(CONTAINER, self.put_container),
            web.delete(CONTAINER, self.delete_container),
            web.put(BLOB, self.put_blob),
            web.delete(BLOB, self.delete_blob),
        ]

    async def list_accounts(self, _request: web.Request) -> web.Response:
        accounts = [account for _, account in sorted(self._storage.accounts.items())]
        return web.json_response({"value": [self._view(account) for account in accounts]})

    async def get_account(self, request: web.Request) -> web.Response:
        return web.json_response(self._view(self._storage.account(request.match_info["account"])))

    async def put_account(self, request: web.Request) -> web.Response:
        """Body: `AccountSeed` without its name. Adds to what is there; the switch takes effect at once."""
        body = await _json_object(request)
        name = request.match_info["account"]
        seed = _validated(AccountSeed, {**body, "name": name}, "account")
        account, new = await self._storage.seed(seed, ACTOR)
        return web.json_response(self._view(self._storage.account(account.name)), status=201 if new else 200)

    async def delete_account(self, request: web.Request) -> web.Response:
        await self._storage.delete_account(request.match_info["account"])
        return web.Response(status=204)

    async def put_container(self, request: web.Request) -> web.Response:
        account, name = request.match_info["account"], request.match_info["container"]
        seed = _validated(ContainerSeed, await _json_object(request), "container")
        check_container_name(name)
        container, new = await self._storage.put_container(account, name, seed.access, seed.metadata)
        view = {"name": container.name, "access": container.level, "etag": container.etag}
        return web.json_response(view, status=201 if new else 200)

    async def delete_container(self, request: web.Request) -> web.Response:
        await self._storage.delete_container(request.match_info["account"], request.match_info["container"])
        return web.Response(status=204)

    async def put_blob(self, request: web.Request) -> web.Response:
        """Body: the bytes. The headers of Put Blob count, `x-ms-blob-type` may be left out."""
        match = request.match_info
        blob = await store_blob(self._storage, request, match["account"], match["container"], match["blob"])
        view = {"name": blob.name, "size": blob.size, "etag": blob.etag, "md5": blob.md5}
        return web.json_response(view, status=201)

    async def delete_blob(self, request: web.Request) -> web.Response:
        match = request.match_info
        check = write_check(request.headers)
        await self._storage.delete_blob(match["account"], match["container"], match["blob"], check)
        return web.Response(status=204)

    def _view(self, account: Account) -> dict[str, Any]:
        """`public` is what was accepted last, `effective` what anonymous readers meet now."""
        containers = [
            {
                "name": container.name,
                "access": container.level,
                "blobs": len(container.blobs),
                "size_bytes": sum(blob.size for blob in container.blobs.values()),
            }
            for _, container in sorted(account.containers.items())
        ]
        return {
            "name": account.name,
            "resource_group": account.resource_group,
            "public": account.switch.accepted,
            "effective": account.switch.effective(self._clock.epoch()),
            "exempt": account.exempt,
            "tags": account.tags,
            "containers": containers,
        }


async def _json_object(request: web.Request) -> dict[str, Any]:
    body = await read_json(request) if request.body_exists else {}
    if not isinstance(body, dict):
        raise ServiceError(INVALID_SETTING, detail="the body must be a JSON object")
    return body


def _validated(model: type[Any], values: dict[str, Any], prefix: str) -> Any:
    try:
        return validate(model, values, prefix)
    except SettingsError as error:
        raise ServiceError(INVALID_SETTING, target=prefix, detail=str(error)) from error
