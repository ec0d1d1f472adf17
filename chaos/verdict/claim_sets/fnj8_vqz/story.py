"""One sentence on a run of the incident."""

from collections.abc import Mapping

from chaos.verdict.words import listed

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
    return f"Incident reproduced: {listed(parts)}." if parts else "The service worked throughout."
