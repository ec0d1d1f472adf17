"""The verdict of a record: every claim, the key figures, and the status of the run.

The status depends on the purpose of the scenario: an incident replay is judged by the five facts, a calm day by staying
healthy. Other contradicted claims are shown and counted, but do not change the status: a claim is evidence about the
report, not a gate.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from chaos.record.machine import WINDOW_S, Stall, stalls_in
from chaos.record.metric_names import ATTEMPTS
from chaos.record.record import RunRecord
from chaos.verdict.controls import calm
from chaos.verdict.figures import figures
from chaos.verdict.model import CHECKS, NO_ACTION, STATUSES, Claim, ClaimFinding, claims
from chaos.verdict.view import PAIR, View
from services.chassis.exit_codes import BAD_INPUT, CONTRADICTED, EXPECTED

Outcome = Literal["as_expected", "contradicted", "could_not_judge"]
EXIT_CODES: dict[Outcome, int] = {
    "as_expected": EXPECTED,
    "contradicted": CONTRADICTED,
    "could_not_judge": BAD_INPUT,
}
FACTS = ("F0", "F1", "F2", "F3", "F4")
CALM = "calm-day"
OTHER_WORLD = "the claims do not apply to this topology"
OBSERVER = "controller"


@dataclass(frozen=True)
class Judged:
    """A claim and its finding in this run; an entry of `verdict.json`."""

    id: str
    status: str
    statement: str
    predicate: str
    measured: dict[str, Any]
    window: tuple[float, float] | None
    kind: str
    source: str
    rests_on: str
    control: str
    note: str


@dataclass(frozen=True)
class Verdict:
    """The verdict of a run. `why` is a sentence if the status is not `as_expected`."""

    scenario: str
    seed: int
    runtime: str
    status: Outcome
    why: str
    figures: dict[str, Any]
    claims: tuple[Judged, ...]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.status]

    def claim(self, claim_id: str) -> Judged:
        return next(claim for claim in self.claims if claim.id == claim_id)

    def counts(self) -> dict[str, int]:
        """Number of claims by status, without the facts, which restate claims."""
        rows = [claim.status for claim in self.claims if claim.id not in FACTS]
        return {status: rows.count(status) for status in STATUSES if status in rows}

    def document(self) -> dict[str, Any]:
        """The content of `verdict.json`."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Verdict":
        """The verdict from its `document`."""
        rows = tuple(Judged(**{**row, "window": _pair(row["window"])}) for row in document["claims"])
        return cls(**{**document, "claims": rows})


def judge(record: RunRecord) -> Verdict:
    """Judges every claim on the record. Missing data in a record gives `not_judged`, never an exception."""
    view = View(record)
    stalls = [
        stall for stall in stalls_in(view.record.series, OBSERVER) if stall.t > 0
    ]  # earlier: see the baseline check
    judged = tuple(_judge(claim, view, stalls) for claim in claims())
    status, why = _status(view, {claim.id: claim for claim in judged}, stalls)
    plan = record.plan
    return Verdict(
        scenario=str(plan["scenario"]),
        seed=int(plan.get("seed", 0)),
        runtime=str(plan.get("runtime", "")),
        status=status,
        why=why,
        figures=figures(view),
        claims=judged,
    )


def _judge(claim: Claim, view: View, stalls: Sequence[Stall]) -> Judged:
    check = CHECKS.get(claim.id)
    if check is None:
        finding = ClaimFinding("narrative" if claim.testable == "no" else "not_judged", note=claim.note)
    else:
        finding = _if_steady(_if_seen(check.judge(view), view), stalls)
        if claim.testable == "partly" and finding.status == "reproduced":
            finding = ClaimFinding(
                "underspecified", finding.measured, finding.window, "holds with thresholds of our own"
            )
    return Judged(
        id=claim.id,
        status=finding.status,
        statement=claim.statement,
        predicate=check.text if check else "",
        measured=finding.measured,
        window=finding.window,
        kind=claim.kind,
        source=claim.source,
        rests_on=claim.rests_on,
        control=check.control if check else "",
        note=finding.note,
    )


def _if_seen(finding: ClaimFinding, view: View) -> ClaimFinding:
    """In a record that ends early, only claims whose window is covered are judged."""
    record = view.record
    if _missing(record):
        return ClaimFinding("not_judged", note=OTHER_WORLD)
    if record.covers(view.at.start, view.at.end):
        return finding
    if finding.window is not None and record.covers(*finding.window):
        return finding
    return ClaimFinding("not_judged", finding.measured, finding.window, "the record ends before this could be seen")


def _if_steady(finding: ClaimFinding, stalls: Sequence[Stall]) -> ClaimFinding:
    """After a machine stall effects may be due to it: only claims whose window ended before it are judged."""
    if not stalls or (finding.window is not None and finding.window[1] <= stalls[0].t - WINDOW_S - stalls[0].stalled_s):
        return finding
    return ClaimFinding("not_judged", finding.measured, finding.window, "the machine stalled before this was over")


def missing_regions(names: Collection[str]) -> list[str]:
    """The regions that facts and claims need and that are not in `names`."""
    return [name for name in PAIR if name not in names]


def _missing(record: RunRecord) -> list[str]:
    regions = record.plan.get("regions")
    return missing_regions([region["name"] for region in regions]) if regions else []


def _status(view: View, judged: dict[str, Judged], stalls: Sequence[Stall]) -> tuple[Outcome, str]:
    """Whether the record can be judged, then whether the run is as expected for its scenario."""
    record = view.record
    if not len(record.series.times) or not record.series.knows(ATTEMPTS):
        return "could_not_judge", "no samples"
    baseline = record.first_event("baseline")
    if baseline is not None and not baseline["ok"]:
        return "could_not_judge", baseline.get(
            "why"
        ) or f"{baseline['success_ratio']:.1%} of operations succeeded at base"
    if not record.covers(view.at.start, view.at.end):
        return "could_not_judge", f"the record ends at τ = {record.end:.0f}, the scenario at {view.at.end:.0f}"
    if stalls:
        lost = ", ".join(f"{stall.stalled_s:.1f} s before τ = {stall.t:.0f}" for stall in stalls[:3])
        return "could_not_judge", f"the machine stalled ({lost}{', …' if len(stalls) > 3 else ''})"
    missing = _missing(record)
    if missing:
        return "could_not_judge", f"{OTHER_WORLD}: it has no {' and no '.join(missing)}"
    if record.plan["scenario"] == CALM:
        finding = calm(view)
        return _outcome([finding.note] if finding.status == "contradicted" else [], finding.status == "not_judged")
    rows = [judged[fact] for fact in FACTS]
    broken = [f"{row.id}: {row.note}" for row in rows if row.status == "contradicted"]
    blind = any(row.status == "not_judged" and row.note != NO_ACTION for row in rows)
    return _outcome(broken, blind)


def _outcome(broken: list[str], blind: bool) -> tuple[Outcome, str]:
    if broken:
        return "contradicted", "; ".join(broken)
    if blind:
        return "could_not_judge", "a fact could not be measured"
    return "as_expected", ""


def _pair(window: Any) -> tuple[float, float] | None:
    return None if window is None else (float(window[0]), float(window[1]))
