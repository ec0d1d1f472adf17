"""What a node refuses before it queues, by the numbers."""

from random import Random

from services.identity.admission import Admission, Reason
from services.identity.settings import IdentitySettings


def _admission(**settings: object) -> Admission:
    return Admission(IdentitySettings.model_validate(settings), Random(1), 0.0)


def _ask(
    admission: Admission,
    tenant: str = "a",
    *,
    backlog: bool = False,
    serving: int = 2,
    waiting: int = 0,
    now: float = 0.0,
) -> Reason | None:
    return admission.refusal(tenant, backlog, serving=serving, waiting=waiting, service_s=0.2, now=now)


def test_in_the_incident_admission_control_is_off() -> None:
    assert not Admission.wanted(IdentitySettings())
    assert _ask(_admission(), waiting=59) is None


def test_each_tenant_has_its_own_rate() -> None:
    admission = _admission(tenant_rate={"rate_per_s": 2.0, "burst": 3.0})
    assert [_ask(admission, "a") for _ in range(4)] == [None, None, None, "throttle"]
    assert _ask(admission, "b") is None
    assert admission.retry_after_s("a", 0.0) == 0.5
    assert _ask(admission, "a", now=0.5) is None


def test_backlog_is_refused_before_fresh_requests_and_both_before_the_budget_is_over() -> None:
    admission = _admission(shedding={"kind": "priority"})
    backlog = [_ask(admission, backlog=True, waiting=waiting) for waiting in range(5)]
    fresh = [_ask(admission, backlog=False, waiting=waiting) for waiting in range(5)]
    assert backlog == [None, None, None, "priority", "priority"]
    assert fresh == [None, None, None, None, "priority"]


def test_no_request_is_shed_while_a_worker_is_free() -> None:
    assert _ask(_admission(shedding={"kind": "priority", "shed_from": 0.0}), backlog=True, serving=1) is None


def test_dagor_cuts_off_backlog_before_fresh_requests() -> None:
    admission = _admission(shedding={"kind": "dagor"})
    refused = {True: 0, False: 0}
    for second in range(20):
        for number in range(40):
            now = second + number / 40
            backlog = number % 2 == 0
            refused[backlog] += _ask(admission, f"tenant-{number % 20}", backlog=backlog, now=now) == "priority"
            admission.started(0.5 if admission.dagor.cutoff > 16 else 0.05)  # fresh alone can be carried
    assert refused[True] > 50
    assert refused[False] == 0


def test_dagor_refuses_no_request_while_queueing_is_short() -> None:
    admission = _admission(shedding={"kind": "dagor"})
    for number in range(400):
        assert _ask(admission, f"tenant-{number % 20}", backlog=True, now=number / 40) is None
        admission.started(0.05)


def test_a_limit_counts_those_served_and_those_who_wait() -> None:
    admission = _admission(limit={"kind": "aimd", "start": 4, "least": 2, "most": 60})
    assert _ask(admission, serving=2, waiting=1) is None
    assert _ask(admission, serving=2, waiting=2) == "limit"


def test_a_disconnected_caller_is_a_drop_for_netflix_and_ignored_by_envoy() -> None:
    aimd = _admission(limit={"kind": "aimd", "start": 20, "least": 2, "most": 60})
    envoy = _admission(limit={"kind": "envoy"})
    for second in range(1, 31):
        for _ in range(10):
            aimd.finished(0.9, 20, second + 0.5, left=True)
    assert aimd.limit.limit == 2
    for number in range(50):
        envoy.finished(0.2, 3, number / 10, left=True)
    assert repr(envoy.limit) == "<EnvoyGradientLimit 3, least 0.200s>"


def test_what_was_learnt_is_kept_while_its_settings_stay() -> None:
    settings = IdentitySettings.model_validate({"limit": {"kind": "envoy"}})
    admission = Admission(settings, Random(1), 0.0)
    assert admission.fits(settings.model_copy(update={"retry_after_s": 1.0}))
    assert not admission.fits(settings.model_copy(update={"workers": 3}))
