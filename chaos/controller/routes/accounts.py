"""Anonymous access of storage accounts: list, and set by account, region, or for all."""

from typing import Any

from chaos.controller import errors
from chaos.controller.api import Call, Calls, ControllerAnswer, served
from chaos.controller.documents import AccessChanged, AccountList
from chaos.controller.testbed import Testbed
from chaos.experiment.operations import OperationFailed
from chaos.faults.model import FaultTarget
from chaos.remediation.inventory import InventoryAccount
from services.chassis.errors import ServiceError
from services.chassis.settings import Settings

ACTOR = "chaos-api"


class AccessRequest(Settings):
    """`enabled` is the new value of `allowBlobPublicAccess`."""

    enabled: bool


class AccountCalls(Calls):
    tag = "accounts"

    @served(
        "GET /v1/accounts",
        "Storage accounts and their public access",
        AccountList,
        "all regions",
        errors=(errors.REFUSED,),
    )
    async def list_accounts(self, _call: Call) -> ControllerAnswer:
        accounts = await _all(self._testbed)
        return 200, {"accounts": [_view(account) for account in accounts]}

    @served(
        "PUT /v1/anonymous-access",
        "Set anonymous access of all extension accounts",
        AccessChanged,
        "switched",
        body=AccessRequest,
    )
    async def flip_everywhere(self, call: Call) -> ControllerAnswer:
        return await _flip(self._testbed, await _all(self._testbed), call.body.enabled)

    @served(
        "PUT /v1/regions/{region}/anonymous-access",
        "Set anonymous access of a region's extension accounts",
        AccessChanged,
        "switched",
        body=AccessRequest,
    )
    async def flip_region(self, call: Call) -> ControllerAnswer:
        region = require_region(self._testbed, call.path("region"))
        return await _flip(self._testbed, await _all(self._testbed, region), call.body.enabled)

    @served(
        "PUT /v1/accounts/{account}/anonymous-access",
        "Set anonymous access of one account",
        AccessChanged,
        "switched",
        body=AccessRequest,
    )
    async def flip_account(self, call: Call) -> ControllerAnswer:
        name = call.path("account")
        accounts = await _all(self._testbed)
        chosen = [account for account in accounts if account.name == name]
        if not chosen:
            known = ", ".join(account.name for account in accounts)
            raise ServiceError(errors.NOT_FOUND, detail=f"unknown account {name!r}; known: {known}")
        return await _flip(self._testbed, chosen, call.body.enabled)


def require_region(testbed: Testbed, region: str) -> str:
    """Returns `region` if it is known.

    Raises:
        ServiceError: 404 with the list of known regions.
    """
    if region not in testbed.regions:
        known = ", ".join(testbed.regions)
        raise ServiceError(errors.NOT_FOUND, detail=f"unknown region {region!r}; known: {known}")
    return region


async def require_account(testbed: Testbed, target: FaultTarget) -> None:
    """Checks the account of a fault's target; while a blob store does not answer, any name passes.

    Raises:
        ServiceError: 404 with the list of known accounts.
    """
    if not target.account:
        return
    regions = [region for region in testbed.regions if target.region in ("", region)]
    accounts, silent = await testbed.operations.accounts.list_all(regions)
    known = [account.name for account in accounts]
    if not silent and target.account not in known:
        detail = f"target.account: unknown account {target.account!r}; known: {', '.join(known)}"
        raise ServiceError(errors.NOT_FOUND, detail=detail)


async def _all(testbed: Testbed, region: str = "") -> list[InventoryAccount]:
    regions = [region] if region else testbed.regions
    accounts, silent = await testbed.operations.accounts.list_all(regions)
    if silent:
        raise OperationFailed(f"could not list the accounts of: {', '.join(silent)}")
    return list(accounts)


async def _flip(testbed: Testbed, accounts: list[InventoryAccount], enabled: bool) -> ControllerAnswer:
    """Sets public access: of a single account, or of the exempt accounts among several."""
    chosen = accounts if len(accounts) == 1 else [account for account in accounts if account.exempt]
    failed = []
    async with testbed.locks["accounts"]:  # concurrent calls would leave a mixed state
        for account in chosen:
            reply = await testbed.operations.accounts.set_public(account, enabled, actor=ACTOR)
            if not reply.ok:
                failed.append(account.name)
    if failed:
        raise OperationFailed(f"could not switch: {', '.join(failed)}")
    testbed.acted("anonymous_access", enabled=enabled, accounts=[account.name for account in chosen])
    return 200, {"enabled": enabled, "accounts": [account.name for account in chosen]}


def _view(account: InventoryAccount) -> dict[str, Any]:
    return {"name": account.name, "region": account.region, "public": account.public, "exempt": account.exempt}
