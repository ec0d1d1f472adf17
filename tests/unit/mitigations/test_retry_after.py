"""`Retry-After` in a real operation: a date is waited for to the second, garbage neither raises nor delays."""

import pytest

from compose.virtual.world import EPOCH_S
from services.chassis.clock import http_date
from services.chassis.http import HttpReply
from tests.unit.mitigations.caller_bench import OVERLOADED, Caller

HONOURING = {"sdk": {"attempts": 2, "honour_retry_after": True}, "workflow": {"enabled": False}}


async def pause_before_the_second(failure: HttpReply) -> float:
    caller = Caller(**HONOURING)
    caller.service.failure = failure
    result = await caller.token()
    assert result.attempts == 2
    (first, _), (second, _) = caller.service.requests
    return second - first


@pytest.mark.parametrize("status", [503, 429])
async def test_a_date_is_waited_for_to_the_second(status: int) -> None:
    caller = Caller(**HONOURING)
    caller.service.failure = HttpReply(status, {"Retry-After": http_date(EPOCH_S + 30.0)}, b"")
    await caller.token()
    assert [at for at, _ in caller.service.requests] == [0.0, 30.0]


@pytest.mark.parametrize("value", ["soon", "nan", "1e999", "-5", "Mon, 99 Feb 2026 18:03:00 GMT"])
async def test_garbage_is_answered_with_the_usual_backoff(value: str) -> None:
    usual_s = await pause_before_the_second(OVERLOADED)
    said_s = await pause_before_the_second(HttpReply(503, {"Retry-After": value}, b""))
    assert said_s == pytest.approx(usual_s, abs=1e-9), "times on the loop are sums"
    assert usual_s > 0
