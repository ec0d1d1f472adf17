"""Results of a campaign by claim: counts by status, a measured example, and the runs with another status."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from chaos.experiment.runs import replace
from chaos.record.files import NotWhole, sealed, unsealed
from chaos.record.record import RecordError
from chaos.scenarios.expect import CLAIM_SETS, Expectation
from chaos.scenarios.expect_text import predicate
from chaos.scenarios.model import Scenario
from chaos.studies.cache import JsonDocument
from chaos.studies.campaign.jobs import CampaignResult
from chaos.studies.campaign.shape import why_no_campaign
from chaos.verdict.claim_set import ClaimSet, claim_set
from chaos.verdict.model import Claim, Pair
from chaos.verdict.verdict import EXPECTATION

GOOD = {"yes": "reproduced", "partly": "underspecified"}
SHARE_MIN = 0.95
KIND = "aftershock campaign"


def collect(scenario: Scenario, commit: str, results: Sequence[CampaignResult]) -> JsonDocument:
    """The content of `campaign.json`. Claims are judged on unperturbed runs without mitigations only."""
    plain = {row.job.seed: row for row in results if not (row.job.control or row.job.perturb or row.job.mitigations)}
    plain = {seed: plain[seed] for seed in sorted(plain)}
    claims = claim_set(scenario.claims) if scenario.claims else None
    return {
        "kind": KIND,
        "scenario": scenario.name,
        "size": scenario.size,
        "claims": scenario.claims,
        "commit": commit,
        "seeds": list(plain),
        "expected": [
            {
                **_row(_claim(one), _verdicts(one.id, None, plain, results)),
                "says": one.says,
                "predicate": predicate(one),
            }
            for one in scenario.expect
        ],
        "rows": [
            _row(claim, _verdicts(claim.id, claims.pairs.get(claim.id), plain, results)) for claim in claims.claims()
        ]
        if claims
        else [],
        "controls": list(_controls(results)),
    }


def _claim(one: Expectation) -> Claim:
    return Claim(one.id, one.says, EXPECTATION, "")


def _verdicts(
    row: str, pair: Pair | None, plain: dict[int, CampaignResult], results: Sequence[CampaignResult]
) -> Iterator[JsonDocument]:
    """Seed, status, note and measured values of each run, or of each pair of runs."""
    if pair is None:
        for seed, result in plain.items():
            detail = result.details.get(row, {})
            status = result.claims.get(row, "not_judged")
            yield {"seed": seed, "status": status, "note": result.note, "measured": {}, **detail}
        return
    for result in sorted(results, key=lambda result: result.job.seed):
        before = plain.get(result.job.seed)
        if before is not None and result.job.control == pair.control and result.figures:
            found = pair.judge(before.figures, result.figures)
            yield {
                "seed": result.job.seed,
                "status": found.status,
                "note": found.note,
                "measured": found.measured,
            }


def _row(claim: Claim, verdicts: Iterable[JsonDocument]) -> JsonDocument:
    found = list(verdicts)
    counts = Counter(verdict["status"] for verdict in found)
    good = GOOD.get(claim.testable, "narrative")
    example = next((verdict for verdict in found if verdict["status"] == good), found[0] if found else None)
    return {
        "id": claim.id,
        "counts": dict(counts),
        "runs": len(found),
        "holds": bool(found) and counts[good] >= SHARE_MIN * len(found),
        "example": example,
        "others": [{k: v[k] for k in ("seed", "status", "note")} for v in found if v["status"] != good],
    }


def _controls(results: Sequence[CampaignResult]) -> Iterator[JsonDocument]:
    by_name: dict[str, list[CampaignResult]] = defaultdict(list)
    for result in results:
        if result.job.control:
            by_name[result.job.control].append(result)
    for name, rows in by_name.items():
        yield {"name": name, "runs": len(rows), "holds": sum(row.holds for row in rows)}


def write(document: JsonDocument, path: Path) -> None:
    """Writes the document atomically, with a seal that `read` checks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, json.dumps(sealed(document), indent=1) + "\n")


def read(path: Path) -> JsonDocument:
    """Reads a campaign.

    Raises:
        RecordError: the file is not a campaign, is damaged, or has another set of claims.
    """
    try:
        document = unsealed(path)
    except (OSError, NotWhole) as error:
        raise RecordError(f"{error}: not a campaign" if isinstance(error, NotWhole) else f"{path}: {error}") from error
    if document.get("kind") != KIND:
        raise RecordError(f"{path}:1: not a campaign: no `kind: {KIND}` in it")
    wrong = why_no_campaign(document)
    if wrong:
        raise RecordError(f"{path}: not a campaign: {wrong}")
    claims = claims_of(document)
    rows, wanted = [row["id"] for row in document["rows"]], [claim.id for claim in claims.claims()] if claims else []
    if rows != wanted:
        odd = ", ".join(sorted(set(rows) ^ set(wanted))) or "their order"
        raise RecordError(f"{path}: rows: made from another table of claims ({odd}); run the campaign again")
    known = claims.controls if claims else {}
    unknown = sorted({row["name"] for row in document["controls"]} - known.keys()) if claims else []
    if unknown:
        raise RecordError(f"{path}: controls: {unknown[0]!r} is none of {', '.join(known)}; run the campaign again")
    return document


def claims_of(document: JsonDocument) -> ClaimSet | None:
    """The claim set of a campaign; None if its scenario names none."""
    name = document.get("claims")
    return claim_set(name) if name in CLAIM_SETS else None
