"""A mapping of bounded size."""

import pytest

from services.policies.recent import Recent


def test_one_key_too_many_forgets_the_one_that_was_added_first() -> None:
    recent: Recent[str, int] = Recent(2)
    for number, name in enumerate("abc"):
        recent[name] = number
    assert (list(recent), recent.forgotten) == (["b", "c"], 1)


def test_a_known_key_is_written_without_forgetting_another() -> None:
    recent: Recent[str, int] = Recent(2)
    recent["a"], recent["b"], recent["a"] = 1, 2, 3
    assert (dict(recent), recent.forgotten) == ({"a": 3, "b": 2}, 0)


def test_a_bound_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Recent(0)
