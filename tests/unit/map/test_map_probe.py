"""When a stall counts as tipping, when the region counts as back, and when watching ends: exact seconds."""

from chaos.studies.map.probe import Trigger
from tests.unit.map.map_scripts import DOWN, LIMPING, NODES, play


async def test_every_identity_node_is_stalled_and_goes_on_twice() -> None:
    trigger = Trigger(1.5, 60)
    ended, nodes = await play(trigger, {})
    expected = []
    for what, at in (("pause", 0.0), ("resume", 1.5), ("pause", 17.0), ("resume", 18.5)):
        expected += [(what, name, at) for name in NODES]
    assert nodes.stalls == expected
    assert ended == 19 + 15
    found = trigger.result()
    assert (found.end, found.shots, found.back_after_s, found.success_after) == ("recovered", 2, 0.0, 1.0)


async def test_a_collapse_that_outlives_its_stall_has_tipped_even_if_it_ends() -> None:
    trigger = Trigger(3.0, 60)
    ended, _ = await play(trigger, {range(3, 41): DOWN})
    found = trigger.result()
    # Good from second 41 on, so 41 to 50 are the first ten good ones; 37 s lie before them.
    assert (found.end, found.success_after, found.back_after_s) == ("returned", 0.0, 37.0)
    assert ended == 50 + 3 + 15


async def test_a_collapse_shorter_than_the_window_is_the_stall_itself() -> None:
    trigger = Trigger(3.0, 60)
    await play(trigger, {range(3, 8): DOWN})
    assert trigger.result().end == "recovered"


async def test_what_is_still_down_after_the_watch_stays() -> None:
    trigger = Trigger(3.0, 60)
    ended, _ = await play(trigger, {range(1, 400): DOWN})
    found = trigger.result()
    assert (found.end, found.shots, found.back_after_s) == ("stayed", 1, None)
    assert ended == 3 + 60
    assert found.before is not None
    assert found.last is not None
    assert (found.before.operations_per_s, found.last.operations_per_s) == (10.0, 10.0)
    assert (found.last.amplification, found.last.queue) == (12.0, 240.0)


async def test_coming_back_once_is_not_enough() -> None:
    trigger = Trigger(3.0, 60)
    ended, _ = await play(trigger, {range(22, 400): DOWN})
    assert (trigger.result().end, trigger.result().shots) == ("stayed", 2)
    assert ended == 18 + 3 + 60


async def test_a_region_on_its_way_back_is_given_three_times_as_long() -> None:
    trigger = Trigger(3.0, 60)
    ended, _ = await play(trigger, {range(3, 400): LIMPING})
    assert trigger.result().end == "stayed"
    assert ended == 3 + 180
