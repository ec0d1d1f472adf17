"""Target selection of faults, and the error for a target without a match."""

from collections.abc import Iterable, Sequence

from chaos.faults.model import FaultSpec
from chaos.faults.registry import CATALOGUE
from compose.topology import InstanceSpec

FIELDS = {"service": "service", "region": "region", "instance": "name"}
"""Field of a target → attribute of an instance."""


class UnknownTarget(LookupError):
    """The target matches no instance; the message names the field and lists the known values."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field, self.text = field, text


def find_targets(spec: FaultSpec, instances: Iterable[InstanceSpec]) -> list[InstanceSpec]:
    """The instances that a fault affects at its start.

    Raises:
        UnknownTarget: no instance matches.
    """
    candidates = CATALOGUE[spec.kind].candidates(list(instances), spec.target)
    found = [instance for instance in candidates if spec.target.meets(instance)]
    if not found:
        raise _unknown(spec, candidates)
    return found


def _unknown(spec: FaultSpec, candidates: Sequence[InstanceSpec]) -> UnknownTarget:
    given = {name: value for name, value in spec.target.model_dump().items() if value}
    for name, attribute in FIELDS.items():
        known = sorted({getattr(instance, attribute) for instance in candidates} - {""})
        if name in given and given[name] not in known:
            what = f"unknown {name} {given[name]!r} for a {spec.kind}"
            return UnknownTarget(f"target.{name}", f"{what}; known {name}s: {', '.join(known) or 'none'}")
    together = ", ".join(f"{name}={value}" for name, value in given.items())
    return UnknownTarget("target", f"matches no instance: {together or 'none exists'}")
