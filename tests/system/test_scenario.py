"""The incident in Docker, in real time: judged, compared with virtual time, and seen by Prometheus as by the recorder.

AFTERSHOCK_SYSTEM_RUNS runs it with so many seeds, one after the other; by default with one. A machine too slow for real
time is told by the run's own guard, which wants a healthy baseline: then, and only then, these tests are expected to
fail.
"""

import numpy as np
import pytest

from chaos.record.metric_names import ATTEMPTS, JOBS, STARTED, WORK
from chaos.verdict.claim_sets.fnj8_vqz.view import EAST, PAIR, IncidentView
from chaos.verdict.verdict import judge
from tests.system.system_alerts import ALERTS_AGREE_S, held_in_prometheus, held_in_record, put_back, rules_of
from tests.system.system_desk import Desk, total
from tests.system.system_incident import Incident, phases, virtual_run

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]
ALERT = "ManagedIdentityAvailabilityBurn"
ALERT_WITHIN_S = 10.0
AGREE = 0.05
INCIDENT = "controller_incident_timestamp_seconds"
QUIET = ("incident: mark Stalls", "region: mark Stalls", "policies: mark Stalls", "chaos: mark Stalls")
VIRTUAL_AGREE = 0.25
PEAK_WINDOW_S = 20.0


@pytest.fixture(scope="session")
def virtual(incident: Incident) -> IncidentView:
    """The same plan and seed in virtual time."""
    return virtual_run(incident.seed)


def test_the_five_facts_are_reproduced(incident: Incident) -> None:
    verdict = judge(incident.view.record)
    facts = {fact.id: fact for fact in verdict.expected}
    for fact, claim in facts.items():
        print(f"seed {incident.seed} {fact} {claim.status}: {claim.measured}")
    print(f"seed {incident.seed}: {verdict.figures}")
    assert {fact: claim.status for fact, claim in facts.items()} == dict.fromkeys(
        ("F0", "F1", "F2", "F3", "F4"), "reproduced"
    )
    assert verdict.status == "as_expected"


def test_docker_and_virtual_time_go_through_the_same_phases(incident: Incident, virtual: IncidentView) -> None:
    assert phases(incident.view) == phases(virtual)
    assert incident.view.affected == [region for region in virtual.affected if region in incident.view.affected]


def test_docker_and_virtual_time_agree_on_amplification_and_depth(incident: Incident, virtual: IncidentView) -> None:
    peaks = _peak(incident.view), _peak(virtual)
    depths = _depth(incident.view), _depth(virtual)
    print(f"seed {incident.seed} Docker, virtual: peak amplification {peaks}, collapse depth {depths}")
    assert peaks[0] == pytest.approx(peaks[1], rel=VIRTUAL_AGREE)
    assert depths[0] == pytest.approx(depths[1], rel=VIRTUAL_AGREE)


def _peak(view: IncidentView) -> float:
    """Over 20 s, not 10 s as the key figure: after a late scrape one sample holds the attempts of two seconds."""
    _, amplification = view.amplification_curve(PEAK_WINDOW_S)
    return float(np.nanmax(amplification))


def _depth(view: IncidentView) -> float:
    """How far success fell while both regions were down, of all the way to nothing."""
    assert view.storm is not None
    success = view.attempt_success(*view.storm)
    assert success is not None
    return 1.0 - success


async def test_prometheus_and_the_recorder_agree(incident: Incident, desk: Desk) -> None:
    """From the restore to after the recovery: at both ends it is calm, and both have scraped everybody."""
    view = incident.view
    assert view.at.restore_east is not None
    start, end = view.at.restore_east, view.at.end - 3.0
    begun = await _grown(desk, incident, f"{STARTED}{{}}", start, end)
    attempts = await _grown(desk, incident, f'{ATTEMPTS}{{layer="sdk"}}', start, end)
    by_prometheus = {
        "attempts": attempts,
        "amplification": attempts / begun,
        "finished work": await _grown(desk, incident, f'{WORK}{{region=~"{"|".join(PAIR)}"}}', start, end),
        "backlog": await _mean(desk, incident, f'{JOBS}{{state=~"queued|blocked"}}', start, end),
    }
    by_recorder = {
        "attempts": view.record.delta(ATTEMPTS, start, end, layer="sdk"),
        "amplification": view.amplification(start, end),
        "finished work": view.record.delta(WORK, start, end, region=PAIR),
        "backlog": view.backlog(start, end),
    }
    print(f"seed {incident.seed} τ {start:.0f} to {end:.0f}: Prometheus {by_prometheus}, recorder {by_recorder}")
    assert by_prometheus == pytest.approx(by_recorder, rel=AGREE)


def _latest(selector: str) -> str:
    """The last sample of each series: under load a scrape may come late, and must not count as a counter that is 0."""
    return f"sum(last_over_time({selector}[8s]))"


async def _grown(desk: Desk, incident: Incident, selector: str, start: float, end: float) -> float:
    first, last = [await desk.query(_latest(selector), incident.at(t)) for t in (start, end)]
    return float(last[0]["value"][1]) - float(first[0]["value"][1])


async def _mean(desk: Desk, incident: Incident, selector: str, start: float, end: float) -> float:
    points = total(await desk.curve(_latest(selector), incident.at(start), incident.at(end)))
    return sum(value for _, value in points) / len(points)


async def test_the_identity_alert_fires_at_once_and_names_the_region(incident: Incident, desk: Desk) -> None:
    view = incident.view
    collapse_t = view.collapse_t(EAST, view.at.restore_east)
    assert collapse_t is not None
    expression = f'ALERTS{{alertname="{ALERT}",alertstate="firing"}}'
    fired = await desk.curve(expression, incident.at(view.at.start), incident.at(view.at.end))
    by_prometheus = min(line.points[0][0] for line in fired if line.labels["region"] == EAST) - incident.zero_epoch_s
    recorded = view.fired_t(ALERT, view.at.start, region=EAST)
    print(f"seed {incident.seed}: collapse τ {collapse_t:.1f}, Prometheus {by_prometheus:.1f}, recorder {recorded:.1f}")
    assert collapse_t - ALERT_WITHIN_S < by_prometheus <= collapse_t + ALERT_WITHIN_S
    assert recorded is not None
    assert recorded <= collapse_t + ALERT_WITHIN_S
    assert view.at.restore_east is not None
    assert by_prometheus > view.at.restore_east, "nothing was wrong with identity before"


def test_every_query_of_the_dashboards_gives_data_during_the_incident(incident: Incident) -> None:
    """But for the incident's calendar, which a scenario that does not keep its pace has none of, and a stall."""
    assert incident.asked >= 3
    silent = [name for (name, query), answers in incident.answered.items() if not answers and INCIDENT not in query]
    assert [name for name in silent if name not in QUIET] == []


async def test_prometheus_and_the_run_list_the_same_alerts_each_once(incident: Incident, desk: Desk) -> None:
    """Both evaluate the same rules at the same pace; before, one of them was up to 68 s late.

    They fire at the same time, or the later one saw the condition at the same time and its clock was put back.
    """
    view = incident.view
    firing = await desk.curve('ALERTS{alertstate="firing"}', incident.at(view.at.start), incident.at(view.at.end))
    seen = {
        (line.labels["alertname"], line.labels["region"]): line.points[0][0] - incident.zero_epoch_s for line in firing
    }
    events = view.record.events_of("alert", view.at.start, view.at.end, state="firing")
    listed = {(event["name"], event["region"]): event["t"] for event in events}
    print({key: (t, seen.get(key)) for key, t in listed.items()})
    assert len(events) == len(listed), "an alert fires once for a thing"
    assert set(seen) == set(listed)
    for_s = {rule.name: rule.for_s for rule in rules_of(view.record)}
    by_prometheus, by_run = await held_in_prometheus(desk, incident), held_in_record(view.record)
    apart = {}
    for key, t in listed.items():
        late_s = seen[key] - t
        held = (by_prometheus if late_s > 0 else by_run)[key]
        if abs(late_s) > ALERTS_AGREE_S and not put_back(held, min(seen[key], t) - for_s[key[0]], max(seen[key], t)):
            apart[key] = round(late_s, 1)
    assert apart == {}
