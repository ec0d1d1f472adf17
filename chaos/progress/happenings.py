"""Event lines as sentences: actions of operators and the policy job, faults, alerts.

Used by the console's timeline and by `aftershock run --watch`. Frequent events that the curves show better (jobs,
arrivals, single accounts) are omitted; an unknown kind is shown in generic form, so that new kinds are not missing.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

By = Literal["operators", "policy job", "fault", "alert", "report", "testbed"]
Tone = Literal["", "good", "bad"]
EventFields = Mapping[str, Any]
Displays = Mapping[str, str]

SILENT = frozenset(
    {
        "account_changed",
        "arrival",
        "instance_started",
        "job_accepted",
        "job_finished",
        "load_changed",
        "mitigated",
        "node_configured",
        "node_restarted",
        "operation",
        "service_health_sent",
        "setting_changed",
        "tick",
        "traffic_changed",
    }
)
ENVELOPE = frozenset({"at", "t", "source", "kind"})
EXPLAINS = ("reason", "why", "error")
"""Fields that are sentences: in generic form they come last and without their name."""
FAULT_ENDS = {"call": "ended", "lease": "ended with its lease"}


@dataclass(frozen=True)
class Happening:
    """One line of the timeline. `row` is the timeline entry of the scenario it belongs to, if any."""

    by: By
    text: str
    tone: Tone = ""
    row: str = ""


def happening(event: EventFields, displays: Displays) -> Happening | None:
    """The event as a sentence; None for omitted kinds. `displays` are the display names of regions."""
    kind = str(event["kind"])
    if kind in SILENT:
        return None
    say = KINDS.get(kind)
    return say(event, displays) if say else Happening("testbed", f"{_plain(kind)}{_details(event)}")


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _details(event: EventFields) -> str:
    given = {name: value for name, value in event.items() if name not in ENVELOPE and value not in ("", None)}
    said = [f"{name} {value}" for name, value in given.items() if name not in EXPLAINS]
    said += [str(given[name]) for name in EXPLAINS if name in given]
    return f": {', '.join(said)}" if said else ""


def _names(regions: Iterable[str], displays: Displays) -> str:
    named = list(regions)
    everywhere = len(named) > 1 and set(named) >= set(displays)
    return "all regions" if everywhere else ", ".join(displays.get(region, region) for region in named)


def _where(event: EventFields, displays: Displays) -> str:
    region = str(event.get("region") or "")
    return f" in {displays.get(region, region)}" if region else ""


# Operator actions. `p` are the action's parameters, `d` the display names of regions.


def _restore(p: EventFields, d: Displays) -> str:
    accounts = ", ".join(p.get("accounts", ("*",)))
    which = "the accounts" if accounts == "*" else accounts
    return f"restore {which} in {_names(p.get('regions', ()), d)}"


def _disable(p: EventFields, d: Displays) -> str:
    return f"make {', '.join(p['accounts'])} private in {_names(p['regions'], d)}"


def _scale(p: EventFields, d: Displays) -> str:
    nodes = p["nodes"] if "nodes" in p else {p["region"]: p["count"]}
    return f"identity nodes: {', '.join(f'{d.get(region, region)} {count:+d}' for region, count in nodes.items())}"


def _regions(p: EventFields, d: Displays) -> str:
    return _names(p["regions"] if "regions" in p else [p["region"]], d)


def _ramp(p: EventFields, d: Displays) -> str:
    over = f" from {p['from_fraction']:.0%} to {p['to_fraction']:.0%} over {p['over_s']:g} s" if "over_s" in p else ""
    return f"ramp up traffic to {_regions(p, d)}{over}"


def _load(p: EventFields, d: Displays) -> str:
    span = f" for {p['for_s']:g} s" if p.get("for_s") else ""
    return f"load of {_regions(p, d)} ×{p['factor']:g}{span}"


def _mitigate(p: EventFields, _d: Displays) -> str:
    if "id" in p:
        return f"switch {p['id']} {'on' if p['on'] else 'off'}"
    return "; ".join(f"switch {', '.join(p[side])} {side}" for side in ("on", "off") if p.get(side))


def _access(p: EventFields, _d: Displays) -> str:
    accounts = p["accounts"]
    named = accounts[0] if len(accounts) == 1 else f"{len(accounts)} accounts"
    return f"make {named} {'public' if p['enabled'] else 'private'}"


def _inject(p: EventFields, d: Displays) -> str:
    target = p.get("target") or {}
    lease = f" for {p['lease_s']:g} s" if "lease_s" in p else ""
    return f"inject {_plain(p['kind'])}{_target(target, d)}{lease}"


def _target(target: EventFields, d: Displays) -> str:
    named = [d.get(str(value), str(value)) for value in target.values() if value]
    return f" on {' '.join(named)}" if named else ""


ACTIONS: dict[str, Callable[[EventFields, Displays], str]] = {
    "abort_scenario": lambda _p, _d: "abort the scenario",
    "anonymous_access": _access,
    "audit_accounts": lambda _p, _d: "audit all accounts",
    "cancel_remediation": lambda _p, _d: "cancel the policy job",
    "disable_accounts": _disable,
    "drain": lambda p, d: f"drain {_regions(p, d)}",
    "end_fault": lambda p, _d: f"end fault {p.get('fault') or p.get('id', '')}",
    "inject_fault": _inject,
    "load_profile": lambda p, _d: f"switch the load to {p['profile']}",
    "mitigate": _mitigate,
    "note": lambda p, _d: str(p["observe"]),
    "open": lambda p, d: f"admit all traffic to {_regions(p, d)}",
    "own": lambda p, _d: f"own action {p['part']}",
    "ramp": _ramp,
    "repair": lambda p, _d: f"restart {p['instance']}",
    "reset": lambda _p, _d: "reset the testbed",
    "restore_accounts": _restore,
    "scale_identity": _scale,
    "set_load": _load,
    "start_remediation": lambda _p, _d: "start the policy job",
    "start_scenario": lambda p, _d: f"start {p['scenario']}",
}


def action_words(action: str, parameters: EventFields, displays: Displays) -> str:
    """An action of the timeline or of the API in words; in generic form if its parameters are of another version."""
    say = ACTIONS.get(action)
    with suppress(KeyError, TypeError, ValueError, AttributeError, IndexError):
        if say:
            return say(parameters, displays)
    return f"{_plain(action)}{_details(parameters)}"


def _action(event: EventFields, d: Displays) -> Happening:
    action, parameters = str(event["action"]), event.get("parameters") or {}
    by: By = "report" if action == "note" else "operators"
    return Happening(by, action_words(action, parameters, d), row=str(event.get("id") or ""))


def _action_failed(event: EventFields, _d: Displays) -> Happening:
    return Happening("operators", f"failed: {event['error']}", "bad", str(event.get("id") or ""))


def _alert(event: EventFields, d: Displays) -> Happening:
    over = event.get("state") == "resolved"
    named = _names(event["regions"], d) if event.get("regions") else _names(filter(None, [event.get("region")]), d)
    return Happening(
        "alert",
        f"{event['name']} {'resolved' if over else 'firing'}{f': {named}' if named else ''}",
        "good" if over else "bad",
    )


def _job(text: str) -> Happening:
    return Happening("policy job", text)


def _gate(event: EventFields, d: Displays) -> Happening:
    seen = event.get("observed") or {}
    ratio = seen.get("failure_ratio")
    saw = f", {ratio:.0%} of {seen.get('samples')} attempts failed" if ratio is not None else ""
    return Happening(
        "policy job", f"health gate{_where(event, d)}: {event['decision']} ({_plain(event['reason'])}{saw})"
    )


def _wave(event: EventFields, d: Displays) -> Happening:
    targets = event.get("targets") or ()
    if not targets:
        return _job(f"has nothing to change{_where(event, d)}")
    return Happening("policy job", f"makes {', '.join(targets)} private{_where(event, d)}", "bad")


def _snapshot(event: EventFields, _d: Displays) -> Happening:
    missing = event["exemptions_missing"]
    text = f"takes an inventory of {event['records']} accounts"
    return Happening(
        "policy job", f"{text}; {missing} exemptions are missing" if missing else text, "bad" if missing else ""
    )


def _finished(event: EventFields, _d: Displays) -> Happening:
    reason = f": {_plain(str(event['reason']))}" if event.get("reason") else ""
    return _job(f"run {event['result']}{reason}")


def _fault_started(event: EventFields, d: Displays) -> Happening:
    words = f"{event['id']} starts: {_plain(event['fault'])}{_target(event.get('target') or {}, d)}"
    return Happening("fault", f"{words}, for {event['lease_s']:g} s", "bad")


def _fault_ended(event: EventFields, _d: Displays) -> Happening:
    why = str(event.get("why", ""))
    return Happening("fault", f"{event['id']} {FAULT_ENDS.get(why, f'ended: {_plain(why)}')}", "good")


def _crashed(event: EventFields, d: Displays) -> Happening:
    return Happening("testbed", f"identity node crashed{_where(event, d)}: {_plain(str(event['reason']))}", "bad")


def _scaled(event: EventFields, d: Displays) -> Happening:
    count = event["count"]
    words = f"{abs(count)} identity node{'s' if abs(count) != 1 else ''} {'joined' if count > 0 else 'left'}"
    return Happening("testbed", words + _where(event, d), row=str(event.get("id") or ""))


def _baseline(event: EventFields, _d: Displays) -> Happening:
    ok = event["ok"]
    return Happening("testbed", "baseline is healthy" if ok else "baseline is not healthy", "good" if ok else "bad")


def _collapse(event: EventFields, d: Displays, words: str, tone: Tone) -> Happening:
    return Happening("testbed", f"{d.get(str(event['region']), event['region'])} {words}", tone)


def _audit(event: EventFields, _d: Displays) -> Happening:
    private = event["private_exempt"]
    silent = "".join(f"; {region} could not be listed" for region in event.get("unreachable", ()))
    counted = f"audit: {private} of {private + event['public_exempt']} extension accounts private"
    return Happening("operators", counted + silent, "bad" if silent else "")


def _run(event: EventFields, _d: Displays) -> Happening:
    why = f": {event['why']}" if event.get("why") else ""
    return Happening("testbed", f"run {event['state']}{why}", "bad" if event["state"] in ("failed", "aborted") else "")


def _stalled(event: EventFields, _d: Displays) -> Happening:
    return Happening("testbed", f"the machine stalled for {event['stalled_s']:.1f} s", "bad")


KINDS: dict[str, Callable[[EventFields, Displays], Happening]] = {
    "action": _action,
    "action_failed": _action_failed,
    "alert": _alert,
    "audit": _audit,
    "baseline": _baseline,
    "collapse_began": lambda e, d: _collapse(e, d, "collapsed", "bad"),
    "collapse_ended": lambda e, d: _collapse(e, d, "recovered", "good"),
    "fault_ended": _fault_ended,
    "fault_started": _fault_started,
    "gate_decision": _gate,
    "identity_scaled": _scaled,
    "machine_stalled": _stalled,
    "node_crashed": _crashed,
    "remediation_canceled": lambda _e, _d: _job("is cancelled"),
    "remediation_finished": _finished,
    "remediation_snapshot": _snapshot,
    "remediation_started": lambda e, _d: _job(f"run {e.get('period', 0) + 1} starts"),
    "remediation_wave_started": _wave,
    "run": _run,
}
