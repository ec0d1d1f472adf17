"""Operator actions: restore accounts, scale, drain, ramp, open, repair, change the load."""

from typing import Literal

from pydantic import Field

from chaos.controller import errors
from chaos.controller.api import Call, Calls, ControllerAnswer, served
from chaos.controller.documents import (
    AuditSummary,
    LoadChanged,
    LoadView,
    RegionTrafficChanged,
    Repaired,
    Restored,
    Scaled,
)
from chaos.controller.routes.accounts import require_region
from chaos.scenarios.actions import LONGEST_S, AccountGlob
from compose.topology import NODES_MAX
from loadgen.settings import FACTOR_MAX, RATE_MAX_PER_S, Profile
from services.chassis.errors import ServiceError
from services.chassis.settings import Settings

BASE = "/v1/operations"


class RestoreRequest(Settings):
    """Empty `regions` means all."""

    regions: tuple[str, ...] = Field(default=(), max_length=100)
    accounts: tuple[AccountGlob, ...] = Field(default=("*",), max_length=100)
    spacing_s: float = Field(default=0.0, ge=0, le=600)


class Scale(Settings):
    """Nodes to add to a region's identity service, or, negative, to remove."""

    region: str
    count: int = Field(
        ge=-NODES_MAX["compose"],
        le=NODES_MAX["compose"],
        description=f"a testbed has at most {NODES_MAX['compose']} identity nodes",
    )


class TrafficRequest(Settings):
    """Admission of a region's router. Fractions are of nominal capacity and apply to a ramp."""

    mode: Literal["open", "drain", "ramp"]
    from_fraction: float = Field(default=0.10, ge=0, le=2)
    to_fraction: float = Field(default=0.85, gt=0, le=2)
    over_s: float = Field(default=80.0, gt=0, le=LONGEST_S)
    hold_s: float = Field(default=20.0, ge=0, le=LONGEST_S)


class RepairRequest(Settings):
    """An instance to restart."""

    instance: str


class LoadFactor(Settings):
    """Sets the load of a region to `factor` times its base load."""

    region: str
    factor: float = Field(ge=0, le=FACTOR_MAX, description=f"the total is limited to {RATE_MAX_PER_S:g} arrivals/s")


class LoadProfile(Settings):
    """base: the incident's load. rest: a tenth of it, for testing a client. Less load alone ends no collapse."""

    profile: Profile


class OperatorCalls(Calls):
    tag = "operations"

    @served(f"POST {BASE}/restore", "Make exempt accounts public again", Restored, "restored", body=RestoreRequest)
    async def restore_accounts(self, call: Call) -> ControllerAnswer:
        regions = [require_region(self._testbed, region) for region in call.body.regions] or list(self._testbed.regions)
        done = await self._testbed.operations.restore_accounts(
            regions, call.body.accounts, spacing_s=call.body.spacing_s, actor="chaos-api"
        )
        self._testbed.acted("restore_accounts", regions=regions)
        return 200, {"restored": [account.name for account in done.accounts]}

    @served(f"POST {BASE}/scale", "Add or remove identity nodes", Scaled, "scaled", body=Scale)
    async def scale_identity(self, call: Call) -> ControllerAnswer:
        region = require_region(self._testbed, call.body.region)
        self._testbed.require_idle()
        async with self._testbed.locks["nodes"]:  # the next node numbers follow from the existing nodes
            changed = await self._testbed.operations.scale_identity(region, call.body.count)
            if call.body.count < 0:
                await self._testbed.faults.removed([spec.name for spec in changed])
        self._testbed.acted("scale_identity", region=region, count=call.body.count)
        return 200, {"region": region, "nodes": [spec.name for spec in changed]}

    @served(
        "PUT /v1/regions/{region}/traffic", "Open, drain, ramp", RegionTrafficChanged, "changed", body=TrafficRequest
    )
    async def set_traffic(self, call: Call) -> ControllerAnswer:
        region = require_region(self._testbed, call.path("region"))
        await self._testbed.operations.set_traffic(region, call.body.model_dump(mode="json"))
        self._testbed.acted(call.body.mode, region=region)
        return 200, {"region": region, "mode": call.body.mode}

    @served(f"POST {BASE}/repair", "Restart an instance", Repaired, "restarted", body=RepairRequest)
    async def repair_instance(self, call: Call) -> ControllerAnswer:
        name = call.body.instance
        self._testbed.require_idle()
        known = sorted(spec.name for spec in self._testbed.runtime.instances())
        if name not in known:
            raise ServiceError(errors.NOT_FOUND, detail=f"unknown instance {name!r}; known: {', '.join(known)}")
        done = await self._testbed.faults.repair(name)
        self._testbed.acted("repair", instance=name)
        return 200, {
            "instance": name,
            "state": "restarted" if done.running else "down",
            "unmet": list(done.unmet),
        }

    @served(f"POST {BASE}/load", "Multiply the load of a region", LoadChanged, "changed", body=LoadFactor)
    async def set_load(self, call: Call) -> ControllerAnswer:
        region = require_region(self._testbed, call.body.region)
        await self._testbed.operations.set_load(region, call.body.factor)
        self._testbed.acted("set_load", region=region, factor=call.body.factor)
        return 200, {"region": region, "factor": call.body.factor}

    @served(
        "PUT /v1/load", "Set the load profile of the idle testbed: base or rest", LoadView, "changed", body=LoadProfile
    )
    async def set_load_profile(self, call: Call) -> ControllerAnswer:
        await self._testbed.set_load_profile(call.body.profile)
        self._testbed.acted("load_profile", profile=call.body.profile)
        return 200, {"profile": call.body.profile}

    @served(
        f"GET {BASE}/audit",
        "Compare all accounts with their intended state",
        AuditSummary,
        "counted",
        errors=(errors.REFUSED,),
    )
    async def audit_accounts(self, _call: Call) -> ControllerAnswer:
        seen = await self._testbed.operations.audit_accounts()
        return 200, {
            "accounts": seen.accounts,
            "public_exempt": seen.public_exempt,
            "private_exempt": seen.private_exempt,
            "unreachable": list(seen.unreachable),
        }
