"""Anonymous access of storage accounts: look, and flip by account, region, or everywhere."""

from typing import Any

from chaos.controller import errors
from chaos.controller.api import Answer, Call
from chaos.controller.documents import AccessChanged, AccountList
from chaos.controller.testbed import Testbed
from chaos.experiment.operations import OperationFailed
from chaos.remediation.inventory import Account
from services.chassis.errors import ServiceError
from services.chassis.routes import Body, Reply, Route
from services.chassis.settings import Settings

TAG = "accounts"
ACTOR = "chaos-api"


class Access(Settings):
    """`enabled` is what `allowBlobPublicAccess` becomes."""

    enabled: bool


def routes(testbed: Testbed) -> list[Route]:
    async def listing(_call: Call) -> Answer:
        accounts = await _all(testbed)
        return 200, {"accounts": [_view(account) for account in accounts]}

    async def flip_account(call: Call) -> Answer:
        name = call.path("account")
        accounts = await _all(testbed)
        chosen = [account for account in accounts if account.name == name]
        if not chosen:
            known = ", ".join(account.name for account in accounts)
            raise ServiceError(errors.NOT_FOUND, detail=f"unknown account {name!r}; known: {known}")
        return await _flip(testbed, chosen, call.body.enabled)

    async def flip_region(call: Call) -> Answer:
        region = require_region(testbed, call.path("region"))
        return await _flip(testbed, await _all(testbed, region), call.body.enabled)

    async def flip_all(call: Call) -> Answer:
        return await _flip(testbed, await _all(testbed), call.body.enabled)

    switched = {200: Reply("switched", AccessChanged)}
    regions = "/v1/regions/{region}/anonymous-access"
    account = "/v1/accounts/{account}/anonymous-access"
    flip = "Flip anonymous access"
    return [
        Route(
            "GET",
            "/v1/accounts",
            "list_accounts",
            "Storage accounts and their switches",
            listing,
            "read",
            {200: Reply("all regions", AccountList)},
            errors=(errors.REFUSED,),
            tag=TAG,
        ),
        Route(
            "PUT",
            "/v1/anonymous-access",
            "flip_everywhere",
            f"{flip} everywhere",
            flip_all,
            "operate",
            switched,
            body=Body(Access),
            tag=TAG,
        ),
        Route(
            "PUT",
            regions,
            "flip_region",
            f"{flip} of a region's extension accounts",
            flip_region,
            "operate",
            switched,
            body=Body(Access),
            tag=TAG,
        ),
        Route(
            "PUT",
            account,
            "flip_account",
            f"{flip} of one account",
            flip_account,
            "operate",
            switched,
            body=Body(Access),
            tag=TAG,
        ),
    ]


def require_region(testbed: Testbed, region: str) -> str:
    """
    Raises:
        ServiceError: 404 with the list of known regions.
    """
    if region not in testbed.regions:
        known = ", ".join(testbed.regions)
        raise ServiceError(errors.NOT_FOUND, detail=f"unknown region {region!r}; known: {known}")
    return region


async def _all(testbed: Testbed, region: str = "") -> list[Account]:
    regions = [region] if region else testbed.regions
    accounts, silent = await testbed.operations.accounts.list_all(regions)
    if silent:
        raise OperationFailed(f"could not list the accounts of: {', '.join(silent)}")
    return list(accounts)


async def _flip(testbed: Testbed, accounts: list[Account], enabled: bool) -> Answer:
    """Only exempt accounts when a whole region is meant: those are what the incident was about."""
    chosen = accounts if len(accounts) == 1 else [account for account in accounts if account.exempt]
    failed = []
    for account in chosen:
        reply = await testbed.operations.accounts.set_public(account, enabled, actor=ACTOR)
        if not reply.ok:
            failed.append(account.name)
    if failed:
        raise OperationFailed(f"could not switch: {', '.join(failed)}")
    testbed.acted("anonymous_access", enabled=enabled, accounts=[account.name for account in chosen])
    return 200, {"enabled": enabled, "accounts": [account.name for account in chosen]}


def _view(account: Account) -> dict[str, Any]:
    return {"name": account.name, "region": account.region, "public": account.public, "exempt": account.exempt}
