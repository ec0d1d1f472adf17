"""The operator API: accounts, containers and blobs without tokens, limits or propagation delay.

Real storage clients refuse to send a token over plain HTTP, so tests use this API to create what they need.
"""

from typing import Any

from aiohttp import web

from services.blobstore.data.writes import check_container_name, store_blob, write_check
from services.blobstore.settings import AccountBody, AccountSeed, ContainerSeed
from services.blobstore.state import StorageAccount
from services.blobstore.store.storage import Storage
from services.chassis.bodies import parse, read_json
from services.chassis.clock import Clock
from services.chassis.errors import INVALID_SETTING, ServiceError
from services.chassis.settings import M, SettingsError, validate

ACTOR = "admin"


class Admin:
    """The handlers below `/admin/accounts`."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def list_accounts(self, _request: web.Request) -> web.Response:
        accounts = [account for _, account in sorted(self._storage.accounts.items())]
        return web.json_response({"value": [self._view(account) for account in accounts]})

    async def get_account(self, request: web.Request) -> web.Response:
        return web.json_response(self._view(self._storage.account(request.match_info["account"])))

    async def put_account(self, request: web.Request) -> web.Response:
        """Body: `AccountSeed` without its name. Adds to an existing account; the switch takes effect at once."""
        body = await _read(AccountBody, request, "account")
        name = request.match_info["account"]
        try:
            seed = validate(AccountSeed, {**body.model_dump(exclude_unset=True), "name": name}, "account")
        except SettingsError as error:
            raise ServiceError(INVALID_SETTING, target="account", detail=str(error)) from error
        account, new = await self._storage.seed(seed, ACTOR)
        return web.json_response(self._view(self._storage.account(account.name)), status=201 if new else 200)

    async def delete_account(self, request: web.Request) -> web.Response:
        await self._storage.delete_account(request.match_info["account"])
        return web.Response(status=204)

    async def put_container(self, request: web.Request) -> web.Response:
        account, name = request.match_info["account"], request.match_info["container"]
        seed = await _read(ContainerSeed, request, "container")
        check_container_name(name)
        container, new = await self._storage.put_container(account, name, seed.access, seed.metadata)
        view = {"name": container.name, "access": container.level, "etag": container.etag}
        return web.json_response(view, status=201 if new else 200)

    async def delete_container(self, request: web.Request) -> web.Response:
        await self._storage.delete_container(request.match_info["account"], request.match_info["container"])
        return web.Response(status=204)

    async def put_blob(self, request: web.Request) -> web.Response:
        """Body: the bytes. The headers of Put Blob apply; `x-ms-blob-type` is optional."""
        match = request.match_info
        blob = await store_blob(self._storage, request, match["account"], match["container"], match["blob"])
        view = {"name": blob.name, "size_bytes": blob.size, "etag": blob.etag, "md5": blob.md5}
        return web.json_response(view, status=201)

    async def delete_blob(self, request: web.Request) -> web.Response:
        match = request.match_info
        check = write_check(request.headers)
        await self._storage.delete_blob(match["account"], match["container"], match["blob"], check)
        return web.Response(status=204)

    def _view(self, account: StorageAccount) -> dict[str, Any]:
        """`public` is the last accepted value, `effective` the value that anonymous reads see now."""
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


async def _read(model: type[M], request: web.Request, prefix: str) -> M:
    """The validated body; an empty body means the defaults."""
    body = await read_json(request) if request.can_read_body else {}
    try:
        return parse(model, body, prefix)
    except SettingsError as error:
        raise ServiceError(INVALID_SETTING, target=prefix, detail=str(error)) from error
