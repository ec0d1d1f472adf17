"""The catalogue: every kind by name, and the check of what a caller asks for."""

from chaos.faults.blackhole import Blackhole
from chaos.faults.connection_reset import ConnectionReset
from chaos.faults.cpu_limit import CpuLimit
from chaos.faults.crash import Crash
from chaos.faults.fail_first import FailFirst
from chaos.faults.freeze import Freeze
from chaos.faults.http_error import HttpError
from chaos.faults.latency import Latency
from chaos.faults.model import ACCOUNT_SERVICE, Fault, FaultParameters, FaultSpec
from chaos.faults.partition import Partition
from chaos.faults.redis_stall import RedisStall
from chaos.faults.throttle import Throttle
from compose.runtime import RuntimeUnavailable
from services.chassis.settings import SettingsError, validate

CATALOGUE: dict[str, Fault] = {
    fault.kind: fault
    for fault in (
        Latency(),
        HttpError(),
        FailFirst(),
        Throttle(),
        ConnectionReset(),
        Blackhole(),
        Crash(),
        Freeze(),
        CpuLimit(),
        Partition(),
        RedisStall(),
    )
}


def check(spec: FaultSpec) -> tuple[Fault, FaultParameters]:
    """The fault that `spec` names and its validated parameters.

    Raises:
        SettingsError: for an unknown kind, a parameter that breaks its rule, or an account where no request to it can
            be met, naming the field.
    """
    fault = CATALOGUE.get(spec.kind)
    if fault is None:
        raise SettingsError(f"kind: unknown fault {spec.kind!r}; known: {', '.join(sorted(CATALOGUE))}")
    if spec.target.account and (fault.level == "instance" or spec.target.service not in ("", ACCOUNT_SERVICE)):
        raise SettingsError(f"target.account: only requests to {ACCOUNT_SERVICE} concern an account; {_instead(spec)}")
    return fault, validate(fault.parameters, spec.parameters, "parameters")


def require_offered(kind: str, runtime: str) -> None:
    """
    Raises:
        RuntimeUnavailable: naming where the kind is offered.
    """
    where = CATALOGUE[kind].runtimes
    if runtime not in where:
        raise RuntimeUnavailable(f"{kind}: the {runtime} runtime does not offer it; offered by: {', '.join(where)}")


def _instead(spec: FaultSpec) -> str:
    kinds = ", ".join(sorted(kind for kind, fault in CATALOGUE.items() if fault.level == "service"))
    service = spec.target.service or "any"
    return f"this is a {spec.kind} of {service}; kinds that meet requests: {kinds}"
