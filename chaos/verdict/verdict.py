"""The verdict of a record: the expectations of its scenario, the claims it names, key figures, status of the run.

The status depends on the expectations alone. Claims are shown and counted, but do not change it: a claim is evidence
about a published report, not a gate.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from chaos.record.machine import WINDOW_S, Stall, stalls_in
from chaos.record.metric_names import ATTEMPTS
from chaos.record.record import RunRecord
from chaos.scenarios.expect import Expectation, parse_expectations
from chaos.scenarios.expect_text import predicate
from chaos.verdict.claim_set import ClaimSet, claim_set_of, view_of
from chaos.verdict.expectations import judge_expectation
from chaos.verdict.figures import figures
from chaos.verdict.model import NO_ACTION, STATUSES, Claim, ClaimFinding
from chaos.verdict.view import View
from services.chassis.exit_codes import BAD_INPUT, CONTRADICTED, EXPECTED

Outcome = Literal["as_expected", "contradicted", "could_not_judge"]
EXIT_CODES: dict[Outcome, int] = {
    "as_expected": EXPECTED,
    "contradicted": CONTRADICTED,
    "could_not_judge": BAD_INPUT,
}
OTHER_WORLD = "the claims do not apply to this topology"
NOTHING_EXPECTED = "nothing is expected of this run: its scenario has no `expect`"
NOTHING_JUDGED = "no expectation could be judged: this run's plan lacks the operator actions that they name"
OBSERVER = "controller"
EXPECTATION = "expectation"


@dataclass(frozen=True)
class Judged:
    """An expectation or a claim and its finding in this run; an entry of `verdict.json`."""

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
    """The expectations, then the claims of the claim set."""
    claim_set: str = ""
    expectations: tuple[str, ...] = ()
    """Ids of the entries of `claims` that decide the status."""
    size: float = 1.0
    """Times that of the model."""

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.status]

    def claim(self, claim_id: str) -> Judged:
        return next(claim for claim in self.claims if claim.id == claim_id)

    @property
    def expected(self) -> tuple[Judged, ...]:
        """The expectations, in the order of the scenario."""
        return tuple(claim for claim in self.claims if claim.kind == EXPECTATION)

    @property
    def evidence(self) -> tuple[Judged, ...]:
        """The claims of the claim set, in its order."""
        return tuple(claim for claim in self.claims if claim.kind != EXPECTATION)

    def counts(self) -> dict[str, int]:
        """Number of claims by status, without the expectations."""
        rows = [claim.status for claim in self.evidence]
        return {status: rows.count(status) for status in STATUSES if status in rows}

    def document(self) -> dict[str, Any]:
        """The content of `verdict.json`."""
        return asdict(self)


def judge(record: RunRecord) -> Verdict:
    """Judges every expectation and claim. Missing data in a record gives `not_judged`, never an exception."""
    view, claims = view_of(record), claim_set_of(record.plan)
    stalls = _stalls(view)
    expectations = parse_expectations(record.plan.get("expect") or ())
    expected = _judge_expectations(expectations, view, stalls)
    evidence = [] if claims is None else [_judge_claim(claim, claims, view, stalls) for claim in claims.claims()]
    status, why = _status(view, expectations, expected, stalls)
    plan = record.plan
    return Verdict(
        scenario=str(plan["scenario"]),
        seed=int(plan.get("seed", 0)),
        runtime=str(plan.get("runtime", "")),
        status=status,
        why=why,
        figures=figures(view),
        claims=(*expected, *evidence),
        claim_set="" if claims is None else claims.name,
        expectations=tuple(one.id for one in expectations),
        size=float(plan.get("size", 1.0)),
    )


def judge_expectations(record: RunRecord) -> list[Judged]:
    """Judges the expectations alone, for studies of many runs."""
    view = view_of(record)
    return _judge_expectations(parse_expectations(record.plan.get("expect") or ()), view, _stalls(view))


def _stalls(view: View) -> list[Stall]:
    """Those of the incident; for earlier ones see the baseline check."""
    return [stall for stall in stalls_in(view.record.series, OBSERVER) if stall.t > 0]


def _judge_expectations(expectations: Sequence[Expectation], view: View, stalls: Sequence[Stall]) -> list[Judged]:
    return [_judge_expectation(one, expectations, view, stalls) for one in expectations]


def _judge_expectation(one: Expectation, others: Sequence[Expectation], view: View, stalls: Sequence[Stall]) -> Judged:
    if _missing(view.record, [one]):
        finding = ClaimFinding("not_judged", note=OTHER_WORLD)
    else:
        finding = _if_steady(_if_seen(judge_expectation(one, others, view), view), stalls)
    return _judged(Claim(one.id, one.says, EXPECTATION, ""), finding, predicate(one))


def _judge_claim(claim: Claim, claims: ClaimSet, view: View, stalls: Sequence[Stall]) -> Judged:
    check = claims.checks.get(claim.id)
    if check is None:
        finding = ClaimFinding("narrative" if claim.testable == "no" else "not_judged", note=claim.note)
    elif _lacks(view.record, claims.regions):
        finding = ClaimFinding("not_judged", note=OTHER_WORLD)
    else:
        finding = _if_steady(_if_seen(check.judge(view), view), stalls)
        if claim.testable == "partly" and finding.status == "reproduced":
            finding = ClaimFinding(
                "underspecified", finding.measured, finding.window, "holds with thresholds of our own"
            )
    return _judged(claim, finding, check.text if check else "", check.control if check else "")


def _judged(claim: Claim, finding: ClaimFinding, predicate: str, control: str = "") -> Judged:
    return Judged(
        id=claim.id,
        status=finding.status,
        statement=claim.statement,
        predicate=predicate,
        measured=finding.measured,
        window=finding.window,
        kind=claim.kind,
        source=claim.source,
        rests_on=claim.rests_on,
        control=control,
        note=finding.note,
    )


def _if_seen(finding: ClaimFinding, view: View) -> ClaimFinding:
    """In a record that ends early, only claims whose window is covered are judged."""
    record = view.record
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


def _missing(record: RunRecord, expectations: Sequence[Expectation]) -> list[str]:
    """The regions that expectations name and the plan lacks."""
    return _lacks(record, sorted(set().union(*(one.named_regions for one in expectations))))


def _lacks(record: RunRecord, names: Sequence[str]) -> list[str]:
    regions = record.plan.get("regions")
    known = [region["name"] for region in regions or ()]
    return [name for name in names if name not in known] if regions else []


def _status(
    view: View, expectations: Sequence[Expectation], expected: Sequence[Judged], stalls: Sequence[Stall]
) -> tuple[Outcome, str]:
    """Whether the record can be judged, then whether the run is as expected."""
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
    missing = _missing(record, expectations)
    if missing:
        return "could_not_judge", f"{OTHER_WORLD}: it has no {' and no '.join(missing)}"
    return _outcome(expected)


def _outcome(expected: Sequence[Judged]) -> tuple[Outcome, str]:
    if not expected:
        return "could_not_judge", NOTHING_EXPECTED
    broken = [f"{row.id}: {row.note}" for row in expected if row.status == "contradicted"]
    if broken:
        return "contradicted", "; ".join(broken)
    if any(row.status == "not_judged" and row.note != NO_ACTION for row in expected):
        return "could_not_judge", "a fact could not be measured"
    if not any(row.status == "reproduced" for row in expected):
        return "could_not_judge", NOTHING_JUDGED
    return "as_expected", ""
