"""One seed, named streams: repeatable, and independent of each other."""

from services.chassis.streams import Streams, stable_uuid


def test_the_same_seed_and_name_give_the_same_values() -> None:
    assert [Streams(7)["a"].random() for _ in range(2)] == [Streams(7)["a"].random() for _ in range(2)]
    assert Streams(7)["a"].random() != Streams(8)["a"].random()


def test_a_new_stream_moves_no_other() -> None:
    alone = Streams(1)
    expected = [alone["a"].random() for _ in range(5)]
    crowded = Streams(1)
    crowded["b"].random()
    values = []
    for _ in range(5):
        crowded["c"].random()
        values.append(crowded["a"].random())
    assert values == expected


def test_scopes_keep_instances_apart() -> None:
    assert Streams(1, "x")["a"].random() != Streams(1, "y")["a"].random()


def test_ids_are_shaped_like_version_four_and_names_have_one_for_ever() -> None:
    assert Streams(1).uuid()[14] == "4"
    assert stable_uuid("n") == stable_uuid("n") != stable_uuid("m")
