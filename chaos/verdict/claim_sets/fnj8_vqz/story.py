"""One sentence on a run of the incident."""

from collections.abc import Mapping

_PARTS = {
    "F1": "East US was overloaded by the work its restore released",
    "F2": "West US followed",
    "F3": "two scale-outs had no effect",
    "F4": "only removing all traffic and ramping it up again restored the service",
}


def story(statuses: Mapping[str, str]) -> str:
    """The sentence for a run that is as expected; empty if its scenario does not expect the facts."""
    if not statuses.keys() >= _PARTS.keys():
        return ""
    parts = [text for name, text in _PARTS.items() if statuses[name] == "reproduced"]
    return f"Incident reproduced: {_listed(parts)}." if parts else "The service worked throughout."


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
