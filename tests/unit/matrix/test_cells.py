"""Which cells there are, and which combinations can be minimal."""

from math import comb

from chaos.mitigations import expand
from chaos.studies.matrix.cells import candidates, cells, minimal

ALL = expand(["all"])


def test_thirteen_mitigations_are_twenty_nine_cells() -> None:
    table = cells(ALL)
    kinds = [cell.kind for cell in table]
    assert {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)} == {
        "none": 1,
        "alone": 13,
        "all-but": 13,
        "all": 1,
        "publisher": 1,
    }
    assert len({cell.name for cell in table}) == 29


def test_a_cell_has_the_mitigations_its_name_says() -> None:
    table = {cell.name: cell.mitigations for cell in cells(("R1", "X1", "X5"))}
    assert table == {
        "none": (),
        "R1": ("R1",),
        "X1": ("X1",),
        "X5": ("X5",),
        "all but R1": ("X1", "X5"),
        "all but X1": ("R1", "X5"),
        "all but X5": ("R1", "X1"),
        "all": ("R1", "X1", "X5"),
        "publisher": ("R1", "R2", "R3", "R4", "R5", "R6", "R7"),
    }


def test_pairs_are_searched_only_among_those_that_do_not_suffice_alone() -> None:
    assert candidates(("R1", "R6", "R7", "X1"), [("R1",)], 2) == [("R6", "R7"), ("R6", "X1"), ("R7", "X1")]
    assert len(candidates(ALL, [], 2)) == comb(13, 2)


def test_triples_that_hold_a_sufficient_pair_are_not_searched() -> None:
    assert candidates(("R6", "R7", "X1", "X2"), [("R6", "R7")], 3) == [("R6", "X1", "X2"), ("R7", "X1", "X2")]


def test_when_nothing_suffices_already_there_is_nothing_to_search() -> None:
    assert candidates(ALL, [()], 2) == []


def test_a_minimal_set_holds_no_other() -> None:
    assert minimal([("R1", "R6"), ("R1",), ("R7", "X1"), ("R7", "X1", "X2")]) == [("R1",), ("R7", "X1")]
