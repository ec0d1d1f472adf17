"""The catalogue of fault kinds, and the validation of a requested fault."""

from collections.abc import Iterator, Mapping

from chaos.faults.blackhole import Blackhole
from chaos.faults.connection_reset import ConnectionReset
from chaos.faults.cpu_limit import CpuLimit
from chaos.faults.crash import Crash
from chaos.faults.fail_first import FailFirst
from chaos.faults.freeze import Freeze
from chaos.faults.http_error import HttpError
from chaos.faults.latency import Latency
from chaos.faults.model import ACCOUNT_SERVICE, Fault, FaultParameters, FaultSpec
from chaos.faults.own import own_fault
from chaos.faults.partition import Partition
from chaos.faults.redis_stall import RedisStall
from chaos.faults.throttle import Throttle
from compose.runtime import RuntimeUnavailable
from services.chassis.faults import FAULT
from services.chassis.settings import SettingsError, validate
from services.parts.kind import PartError
from services.parts.loading import find

SHIPPED: dict[str, Fault] = {
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


class FaultKinds(Mapping[str, Fault]):
    """The shipped kinds, and by name also the user's; only the shipped ones are listed."""

    def __getitem__(self, kind: str) -> Fault:
        shipped = SHIPPED.get(kind)
        if shipped is not None:
            return shipped
        try:
            find(FAULT, kind)
        except PartError as error:
            raise KeyError(str(error)) from error
        return own_fault(kind)

    def __iter__(self) -> Iterator[str]:
        return iter(SHIPPED)

    def __len__(self) -> int:
        return len(SHIPPED)


CATALOGUE = FaultKinds()


def check(spec: FaultSpec) -> tuple[Fault, FaultParameters]:
    """The fault kind of `spec`, and its validated parameters.

    Raises:
        SettingsError: an unknown kind, an invalid parameter, or an account for a kind or service without requests to
            accounts; the message names the field.
    """
    fault = known(spec.kind)
    if spec.target.account and (fault.level == "instance" or spec.target.service not in ("", ACCOUNT_SERVICE)):
        raise SettingsError(f"target.account: only requests to {ACCOUNT_SERVICE} have an account; {_instead(spec)}")
    return fault, validate(fault.parameters, spec.parameters, "parameters")


def known(kind: str) -> Fault:
    """The kind of that name.

    Raises:
        SettingsError: it is neither a shipped kind nor a user's fault that this process may import.
    """
    try:
        return CATALOGUE[kind]
    except KeyError as error:
        if ":" in kind:
            raise SettingsError(f"kind: {error.args[0]}") from error
        raise SettingsError(f"kind: unknown fault {kind!r}; known: {', '.join(sorted(CATALOGUE))}") from error


def require_offered(spec: FaultSpec, runtime: str) -> None:
    """Checks that a runtime supports a fault.

    Raises:
        SettingsError: as `check`.
        RuntimeUnavailable: it does not; the message names the runtimes that do.
    """
    fault, parameters = check(spec)
    where = fault.offered_by(parameters)
    if runtime not in where:
        what = f"{spec.kind} with {spec.parameters}" if runtime in fault.runtimes else spec.kind
        raise RuntimeUnavailable(f"{what}: not supported by the {runtime} runtime; supported by: {', '.join(where)}")


def _instead(spec: FaultSpec) -> str:
    kinds = ", ".join(sorted(kind for kind, fault in CATALOGUE.items() if fault.level == "service"))
    service = spec.target.service or "any"
    return f"this is a {spec.kind} of {service}; kinds that act on requests: {kinds}"
