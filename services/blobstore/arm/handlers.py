"""Resource Manager calls: `Microsoft.Storage/storageAccounts` of this region, and their containers.

A token is optional; if one is sent, it is verified.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from services.blobstore import errors
from services.blobstore.arm import bodies as bodies
from services.blobstore.data.answers import Answers, arm_kind, correlation
from services.blobstore.limits import ArmLimits
from services.blobstore.settings import ACCOUNT_NAME, CONTAINER_NAME, RESERVED
from services.blobstore.state import BlobContainer, StorageAccount
from services.blobstore.store.storage import Storage
from services.blobstore.tokens import MANAGEMENT_AUDIENCES, KeysUnavailable, TokenRefused, Verifier
from services.chassis.arm import LOCATION_NOT_AVAILABLE, RESOURCE_NOT_FOUND, check_api_version
from services.chassis.bodies import read_json
from services.chassis.env import Env
from services.chassis.errors import ServiceError
from services.chassis.http import retry_after

_GROUP_NAME = re.compile(r"[A-Za-z0-9._()-]{1,90}", re.ASCII)
ANONYMOUS_ACTOR = "unknown"


@dataclass(frozen=True, slots=True)
class ArmTarget:
    """The names in an ARM path; empty if absent."""

    subscription: str
    group: str
    account: str
    container: str


ArmHandler = Callable[[web.Request, ArmTarget], Awaitable[web.Response]]


class Arm:
    """The handlers below `/subscriptions`."""

    def __init__(self, env: Env, storage: Storage, verifier: Verifier, answers: Answers, limits: ArmLimits) -> None:
        self._env = env
        self._storage = storage
        self._verifier = verifier
        self._answers = answers
        self._limits = limits

    def call(self, answer: ArmHandler) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Wraps `answer` in ARM's own checks: api-version, token, rate limit, subscription, names."""

        async def served(request: web.Request) -> web.Response:
            match = request.match_info
            names = (match.get(name, "") for name in ("subscription", "group", "account", "container"))
            target = ArmTarget(*names)
            check_api_version(request)
            await self._check_token(request)
            self._limits.take(arm_kind(request))
            self._check_target(target)
            return await answer(request, target)

        return served

    def _check_target(self, target: ArmTarget) -> None:
        expected = self._storage.settings.subscription_id
        if target.subscription.lower() != expected.lower():
            raise ServiceError(errors.ARM_SUBSCRIPTION_NOT_FOUND, subscription=target.subscription)
        if target.group and not _GROUP_NAME.fullmatch(target.group):
            raise ServiceError(errors.ARM_GROUP_INVALID, target="resourceGroup", group=target.group)
        if target.account and not re.fullmatch(ACCOUNT_NAME, target.account.lower()):
            raise ServiceError(errors.ARM_NAME_INVALID, target="name", name=target.account)

    async def _check_token(self, request: web.Request) -> None:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise ServiceError(errors.ARM_INVALID_TOKEN, detail="the Authorization scheme must be 'Bearer'.")
        try:
            await self._verifier.verify(token.strip(), MANAGEMENT_AUDIENCES)
        except TokenRefused as error:
            raise ServiceError(errors.ARM_INVALID_TOKEN, detail=str(error)) from error
        except KeysUnavailable as error:
            raise ServiceError(errors.ARM_KEYS_UNAVAILABLE, headers=retry_after(1.0)) from error

    # --- accounts ------------------------------------------------------------------------------------

    async def list_accounts(self, request: web.Request, target: ArmTarget) -> web.Response:
        group = target.group.lower()
        accounts = [a for _, a in sorted(self._storage.accounts.items()) if group in ("", a.resource_group.lower())]
        return self._answers.arm(request, {"value": [self._view(account) for account in accounts]})

    async def check_name(self, request: web.Request, _target: ArmTarget) -> web.Response:
        name = bodies.parse(bodies.NameQuestion, await read_json(request)).name
        if not re.fullmatch(ACCOUNT_NAME, name):
            message = errors.ARM_NAME_INVALID.message.format(name=name)
            answer = {"nameAvailable": False, "reason": "AccountNameInvalid", "message": message}
        elif name in RESERVED or await self._storage.is_taken(name):
            message = errors.ARM_NAME_TAKEN.message.format(name=name)
            answer = {"nameAvailable": False, "reason": "AlreadyExists", "message": message}
        else:
            answer = {"nameAvailable": True}
        return self._answers.arm(request, answer)

    async def get_account(self, request: web.Request, target: ArmTarget) -> web.Response:
        return self._answers.arm(request, self._view(self._account(target)))

    async def put_account(self, request: web.Request, target: ArmTarget) -> web.Response:
        """Creates or updates. A new account denies public access unless the body allows it, as in Azure since 2023."""
        name = target.account.lower()
        body = bodies.parse(bodies.AccountCreate, await read_json(request))
        if _location(body.location) != _location(self._env.region):
            region = self._env.region
            raise ServiceError(
                LOCATION_NOT_AVAILABLE,
                target="location",
                location=body.location,
                type=bodies.ACCOUNT_TYPE,
                region=region,
            )
        known = self._storage.accounts.get(name)
        if name in RESERVED or (known and known.resource_group.lower() != target.group.lower()):
            raise ServiceError(errors.ARM_NAME_TAKEN, name=name)
        if known:
            return await self._update(request, target, body)
        account = await self._storage.create_account(
            name,
            target.group,
            public=bool(bodies.switch_of(body)),
            tags=body.tags or {},
            kind=body.kind or "StorageV2",
            sku=body.sku.name if body.sku else "Standard_LRS",
            properties=bodies.kept_of(body),
        )
        return self._answers.arm(request, self._view(account))

    async def patch_account(self, request: web.Request, target: ArmTarget) -> web.Response:
        body = bodies.parse(bodies.AccountUpdate, await read_json(request))
        return await self._update(request, target, body)

    async def _update(self, request: web.Request, target: ArmTarget, body: bodies.AccountUpdate) -> web.Response:
        before = self._account(target)
        actor = correlation(request) or ANONYMOUS_ACTOR
        account = await self._storage.update_account(
            before.name,
            actor,
            public=bodies.switch_of(body),
            tags=before.tags if body.tags is None else body.tags,
            kind=body.kind or before.kind,
            sku=body.sku.name if body.sku else before.sku,
            properties={**before.properties, **bodies.kept_of(body)},
        )
        return self._answers.arm(request, self._view(account))

    async def delete_account(self, request: web.Request, target: ArmTarget) -> web.Response:
        account = self._storage.accounts.get(target.account.lower())
        if account is None or account.resource_group.lower() != target.group.lower():
            return self._answers.arm(request, None, status=204)
        await self._storage.delete_account(account.name)
        return self._answers.arm(request, None)

    # --- containers ----------------------------------------------------------------------------------

    async def list_containers(self, request: web.Request, target: ArmTarget) -> web.Response:
        account = self._account(target)
        containers = [container for _, container in sorted(account.containers.items())]
        return self._answers.arm(request, {"value": [self._container_view(account, each) for each in containers]})

    async def get_container(self, request: web.Request, target: ArmTarget) -> web.Response:
        account = self._account(target)
        return self._answers.arm(request, self._container_view(account, _container(account, target)))

    async def put_container(self, request: web.Request, target: ArmTarget) -> web.Response:
        account = self._account(target)
        body = bodies.parse(bodies.ContainerBody, await read_json(request))
        name = target.container
        if not 3 <= len(name) <= 63 or not re.fullmatch(CONTAINER_NAME, name):
            rule = "3 to 63 lower-case letters, digits and single hyphens"
            raise ServiceError(errors.ARM_CONTAINER_NAME_INVALID, target="name", name=name, detail=rule)
        return await self._set_container(request, account, name, body)

    async def patch_container(self, request: web.Request, target: ArmTarget) -> web.Response:
        account = self._account(target)
        container = _container(account, target)
        body = bodies.parse(bodies.ContainerBody, await read_json(request))
        return await self._set_container(request, account, container.name, body)

    async def _set_container(
        self, request: web.Request, account: StorageAccount, name: str, body: bodies.ContainerBody
    ) -> web.Response:
        properties = body.properties or bodies.ContainerProperties()
        level = properties.publicAccess
        if level not in (None, "None") and not account.switch.accepted:
            raise ServiceError(errors.ARM_LOCKED)
        container, new = await self._storage.put_container(account.name, name, level, properties.metadata)
        return self._answers.arm(request, self._container_view(account, container), status=201 if new else 200)

    async def delete_container(self, request: web.Request, target: ArmTarget) -> web.Response:
        account = self._account(target)
        if target.container not in account.containers:
            return self._answers.arm(request, None, status=204)
        await self._storage.delete_container(account.name, target.container)
        return self._answers.arm(request, None)

    # --- looking up ----------------------------------------------------------------------------------

    def _account(self, target: ArmTarget) -> StorageAccount:
        account = self._storage.accounts.get(target.account.lower())
        if account is None or account.resource_group.lower() != target.group.lower():
            raise ServiceError(RESOURCE_NOT_FOUND, type=bodies.ACCOUNT_TYPE, name=target.account, group=target.group)
        return account

    def _view(self, account: StorageAccount) -> dict[str, object]:
        settings, env = self._storage.settings, self._env
        return bodies.account_view(account, settings.subscription_id, env.region, env.instance.url)

    def _container_view(self, account: StorageAccount, container: BlobContainer) -> dict[str, object]:
        return bodies.container_view(bodies.account_id(self._storage.settings.subscription_id, account), container)


def _container(account: StorageAccount, target: ArmTarget) -> BlobContainer:
    container = account.containers.get(target.container)
    if container is None:
        raise ServiceError(errors.ARM_CONTAINER_NOT_FOUND)
    return container


def _location(name: str) -> str:
    """The normalised region name: `East US` becomes `eastus`."""
    return name.replace(" ", "").lower()
