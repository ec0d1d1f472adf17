"""Authentication and authorisation of blob reads and listings."""

from aiohttp import web

from services.blobstore import errors
from services.blobstore.errors import BlobError
from services.blobstore.metrics import ANONYMOUS, BEARER
from services.blobstore.state import BlobContainer, Scope, StorageAccount, anonymous_denial
from services.blobstore.store.storage import Storage
from services.blobstore.tokens import STORAGE_AUDIENCE, KeysUnavailable, TokenRefused, Verifier
from services.chassis.env import Env
from services.chassis.http import retry_after


class ReadAuthorisation:
    """Authenticates and authorises one read."""

    def __init__(self, env: Env, storage: Storage, verifier: Verifier) -> None:
        self._clock = env.clock
        self._storage = storage
        self._verifier = verifier

    async def authenticate(self, request: web.Request, account_name: str) -> None:
        """Verifies the request's bearer token.

        Raises:
            BlobError: 401 for an invalid token, 403 for any other credential, 503 if the keys cannot be fetched.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise BlobError(errors.AUTHENTICATION_FAILED)
        audiences = (STORAGE_AUDIENCE, f"https://{account_name}.blob.core.windows.net")
        try:
            await self._verifier.verify(token.strip(), audiences)
        except TokenRefused as error:
            raise BlobError(errors.INVALID_TOKEN, details={"AuthenticationErrorDetail": str(error)}) from error
        except KeysUnavailable as error:
            reason = {"Reason": "The keys that verify tokens cannot be read."}
            raise BlobError(errors.SERVER_BUSY, details=reason, headers=retry_after(1.0)) from error

    async def admit(
        self, request: web.Request, account_name: str, container_name: str = "", scope: Scope | None = None
    ) -> tuple[StorageAccount, BlobContainer | None, str]:
        """Authorises a request, before any other check of it.

        An unauthorised reader therefore learns nothing, neither from errors about a query, range, condition or header
        nor about existence. Without a scope, only a bearer token is accepted.

        Raises:
            BlobError: 401, 403, 404, 409 or 503; see `authenticate` and `anonymous_denial`.
        """
        if "Authorization" in request.headers:
            await self.authenticate(request, account_name)
            account = self._storage.account(account_name)
            return account, account.containers.get(container_name), BEARER
        account = self._storage.account(account_name)
        if request.query_string and "sig" in request.query:
            raise BlobError(errors.AUTHENTICATION_FAILED)
        container = account.containers.get(container_name)
        now = self._clock.epoch()
        if scope is not None:
            denial = anonymous_denial(account, container_name, container, scope, now)
        else:
            open_ = account.switch.effective(now)
            denial = errors.NO_AUTHENTICATION if open_ else errors.PUBLIC_ACCESS_NOT_PERMITTED
        if denial is not None:
            raise BlobError(denial)
        return account, container, ANONYMOUS
