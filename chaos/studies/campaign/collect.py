"""Results of a campaign by claim: counts by status, a measured example, and the runs with another status."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from chaos.experiment.runs import replace
from chaos.record.files import NotWhole, sealed, unsealed
from chaos.record.record import RecordError
from chaos.scenarios.loader import load
from chaos.studies.cache import JsonDocument
from chaos.studies.campaign.jobs import CampaignResult
from chaos.verdict import PAIRS, claims, judge_pair
from chaos.verdict.model import Claim

GOOD = {"yes": "reproduced", "partly": "underspecified"}
SHARE_MIN = 0.95
KIND = "aftershock campaign"


def collect(scenario: str, commit: str, results: Sequence[CampaignResult]) -> JsonDocument:
    """The content of `campaign.json`. Claims are judged on unperturbed runs without mitigations only."""
    plain = {row.job.seed: row for row in results if not (row.job.control or row.job.perturb or row.job.mitigations)}
    plain = {seed: plain[seed] for seed in sorted(plain)}
    return {
        "kind": KIND,
        "scenario": scenario,
        "size": load(scenario, size=results[0].job.size if results else None).size,
        "commit": commit,
        "seeds": list(plain),
        "rows": [_row(claim, _verdicts(claim, plain, results)) for claim in claims()],
        "controls": list(_controls(results)),
    }


def _verdicts(
    claim: Claim, plain: dict[int, CampaignResult], results: Sequence[CampaignResult]
) -> Iterator[JsonDocument]:
    """Seed, status, note and measured values of each run, or of each pair of runs."""
    pair = PAIRS.get(claim.id)
    if pair is None:
        for seed, result in plain.items():
            detail = result.details.get(claim.id, {})
            status = result.claims.get(claim.id, "not_judged")
            yield {"seed": seed, "status": status, "note": result.note, "measured": {}, **detail}
        return
    for result in sorted(results, key=lambda result: result.job.seed):
        before = plain.get(result.job.seed)
        if before is not None and result.job.control == pair.control and result.figures:
            found = judge_pair(claim.id, before.figures, result.figures)
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
    rows, wanted = [row["id"] for row in document["rows"]], [claim.id for claim in claims()]
    if rows != wanted:
        odd = ", ".join(sorted(set(rows) ^ set(wanted))) or "their order"
        raise RecordError(f"{path}: rows: made from another table of claims ({odd}); run the campaign again")
    return document
