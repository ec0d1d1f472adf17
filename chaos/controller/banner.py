"""The banner of the console: the current problem of the testbed, its start, and the remedy.

`banner` in `GET /v1/status` is null without a problem or during a run of the controller, otherwise

    {"kind": "collapse" | "stall" | "run", "since": ISO 8601 UTC, "text": sentence, "remedy": remedy or null}

where a remedy is `{"label": "Back to calm", "method": "POST", "path": "/v1/reset"}`. A collapse is shown until the
regions have recovered. A stall is shown for `SHOWN_S` after its detection, unless regions collapsed after it: then the
collapse is shown, and its text mentions the stall. "run" is a run of another process, which a reset would end.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.record.machine import Stall
from services.chassis.clock import utc_text

SHOWN_S = 60.0
BLAMED_S = 30.0
"""A collapse within this time after a stall is attributed to it: a failing operation takes 20 s to end."""
REMEDY = {"label": "Back to calm", "method": "POST", "path": "/v1/reset"}


def banner(
    now: float, down: Mapping[str, float], stall: Stall | None, faults: Sequence[str], names: Mapping[str, str]
) -> dict[str, Any] | None:
    """The banner document. `down` maps collapsed regions to the Unix time of the collapse; `faults` are active ids."""
    if down:
        return _collapse(down, stall, faults, names)
    if stall is not None and now - stall.t < SHOWN_S:
        text = f"The machine stalled for {stall.stalled_s:.1f} s; measurements of that time are invalid."
        return _document("stall", stall.t - stall.stalled_s, text, None)
    return None


def _collapse(
    down: Mapping[str, float], stall: Stall | None, faults: Sequence[str], names: Mapping[str, str]
) -> dict[str, Any]:
    since = min(down.values())
    regions = " and ".join(names.get(region, region) for region in sorted(down))
    verb = "is" if len(down) == 1 else "are"
    text = f"{regions} {verb} down since {_clock(since)} UTC: fewer than half of the token requests succeed."
    if stall is not None and 0 <= since - (stall.t - stall.stalled_s) < BLAMED_S:
        text += f" The machine stalled for {stall.stalled_s:.1f} s just before."
    if faults:
        plural = "s" if len(faults) > 1 else ""
        text += f" Active fault{plural}: {', '.join(faults)}."
    text += " Retries keep a collapsed region down; Back to calm ends it."
    return _document("collapse", since, text, REMEDY)


def other_run_banner(owner: str, since: float) -> dict[str, Any]:
    """The banner during a run of another process; `since` is a Unix time."""
    text = (
        f"A run of another process ({owner}) is in progress on this testbed. It is recorded and judged there; "
        "a reset would end it."
    )
    return _document("run", since, text, None)


def _document(kind: str, since: float, text: str, remedy: Mapping[str, str] | None) -> dict[str, Any]:
    return {"kind": kind, "since": utc_text(since), "text": text, "remedy": remedy}


def _clock(epoch_s: float) -> str:
    return utc_text(epoch_s)[11:19]
