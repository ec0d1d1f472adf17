"""The pure rules: the account switch, who may read, listing, ETags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.blobstore import errors
from services.blobstore.settings import EXEMPT_TAG
from services.blobstore.state import (
    AccessLevel,
    Blob,
    BlobContainer,
    Etags,
    PublicAccessSwitch,
    Scope,
    StorageAccount,
    anonymous_denial,
    list_page,
)


def container_of(*names: str, level: AccessLevel = "Container") -> BlobContainer:
    container = BlobContainer("c", level, '"0x1"', 0.0)
    for name in names:
        container.put(Blob(name, name, 1, "", '"0x1"', 0.0, 0.0, {}))
    return container


def names_of(container: BlobContainer, **options: str | int) -> tuple[list[str], list[str], str]:
    asked = {"prefix": "", "delimiter": "", "marker": "", "results_max": 5000, **options}
    page = list_page(container, **asked)  # type: ignore[arg-type]
    return [blob.name for blob in page.blobs], list(page.prefixes), page.next_marker


# --- the account switch ------------------------------------------------------------------------------


def test_a_changed_switch_is_accepted_at_once_and_takes_effect_after_the_delay() -> None:
    switch = PublicAccessSwitch(True).turned(False, 100.0, 0.5)
    assert switch.accepted is False
    assert switch.effective(100.499) is True
    assert switch.effective(100.5) is False


def test_setting_a_switch_to_its_current_value_changes_nothing() -> None:
    locked = PublicAccessSwitch(True).turned(False, 100.0, 0.5)
    assert locked.turned(False, 100.2, 0.5) is locked
    assert PublicAccessSwitch(True).turned(True, 100.0, 0.5) == PublicAccessSwitch(True)


def test_a_change_back_within_the_delay_leaves_a_gap_of_its_own_length() -> None:
    switch = PublicAccessSwitch(True).turned(False, 100.0, 0.5).turned(True, 100.2, 0.5)
    assert [switch.effective(at) for at in (100.499, 100.5, 100.699, 100.7)] == [True, False, False, True]
    assert switch.accepted is True


def test_a_later_change_with_a_shorter_delay_replaces_the_one_still_on_its_way() -> None:
    switch = PublicAccessSwitch(True).turned(False, 100.0, 30.0).turned(True, 101.0, 0.5)
    assert switch.pending == ((101.5, True),)
    assert all(switch.effective(at) for at in (101.0, 101.5, 130.0, 131.0))


def test_changes_that_have_taken_effect_are_folded_into_the_next_one() -> None:
    switch = PublicAccessSwitch(True).turned(False, 100.0, 0.5).turned(True, 200.0, 0.5)
    assert switch == PublicAccessSwitch(False, ((200.5, True),))


def test_a_switch_reads_as_one_line() -> None:
    assert (
        repr(PublicAccessSwitch(True).turned(False, 100.0, 0.5)) == "<PublicAccessSwitch public, locked from 100.500>"
    )


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans(), st.floats(0, 5)), max_size=8))
def test_after_all_delays_a_switch_has_the_last_accepted_value(steps: list[tuple[float, bool, float]]) -> None:
    switch, now = PublicAccessSwitch(True), 0.0
    for wait_s, public, delay_s in steps:
        now += wait_s
        switch = switch.turned(public, now, delay_s)
        assert switch.accepted is public
    assert switch.effective(now + 5.0) is switch.accepted


# --- who may read ------------------------------------------------------------------------------------

DENIALS = [
    # account public, container level, scope, denial
    (True, "Blob", "blob", None),
    (True, "Container", "blob", None),
    (True, "None", "blob", errors.RESOURCE_NOT_FOUND),
    (True, None, "blob", errors.RESOURCE_NOT_FOUND),
    (True, "Container", "container", None),
    (True, "Blob", "container", errors.RESOURCE_NOT_FOUND),
    (True, "None", "container", errors.RESOURCE_NOT_FOUND),
    (False, "Container", "blob", errors.PUBLIC_ACCESS_NOT_PERMITTED),
    (False, "Container", "container", errors.PUBLIC_ACCESS_NOT_PERMITTED),
    (False, "None", "blob", errors.PUBLIC_ACCESS_NOT_PERMITTED),
    (False, None, "blob", errors.PUBLIC_ACCESS_NOT_PERMITTED),
]


@pytest.mark.parametrize(("public", "level", "scope", "denial"), DENIALS)
def test_the_account_switch_overrides_the_containers_level(
    public: bool, level: AccessLevel | None, scope: Scope, denial: object
) -> None:
    account = StorageAccount("a", "g", 0.0, PublicAccessSwitch(public))
    container = None if level is None else container_of(level=level)
    assert anonymous_denial(account, "c", container, scope, 0.0) is denial


def test_a_website_is_readable_on_a_locked_account() -> None:
    locked = StorageAccount("a", "g", 0.0, PublicAccessSwitch(False))
    assert anonymous_denial(locked, "$web", container_of(level="None"), "blob", 0.0) is None
    assert anonymous_denial(locked, "$web", container_of(), "container", 0.0) is errors.PUBLIC_ACCESS_NOT_PERMITTED


def test_a_denial_follows_the_switch_to_the_instant() -> None:
    account = StorageAccount("a", "g", 0.0, PublicAccessSwitch(True).turned(False, 100.0, 0.5))
    container = container_of()
    assert anonymous_denial(account, "c", container, "blob", 100.4999) is None
    assert anonymous_denial(account, "c", container, "blob", 100.5) is errors.PUBLIC_ACCESS_NOT_PERMITTED


def test_exempt_is_a_tag() -> None:
    assert StorageAccount("a", "g", 0.0, PublicAccessSwitch(True), tags={EXEMPT_TAG: "true"}).exempt
    assert not StorageAccount("a", "g", 0.0, PublicAccessSwitch(True), tags={EXEMPT_TAG: "false"}).exempt
    assert not StorageAccount("a", "g", 0.0, PublicAccessSwitch(True)).exempt


# --- listing -----------------------------------------------------------------------------------------

TREE = container_of("a.txt", "dir/one", "dir/sub/three", "dir/two", "e")


def test_a_listing_is_in_order_of_names() -> None:
    assert names_of(container_of("b", "a", "C")) == (["C", "a", "b"], [], "")


def test_a_prefix_narrows_and_a_delimiter_folds() -> None:
    assert names_of(TREE, prefix="dir/") == (["dir/one", "dir/sub/three", "dir/two"], [], "")
    assert names_of(TREE, delimiter="/") == (["a.txt", "e"], ["dir/"], "")
    assert names_of(TREE, prefix="dir/", delimiter="/") == (["dir/one", "dir/two"], ["dir/sub/"], "")
    assert names_of(TREE, prefix="zzz") == ([], [], "")


def test_a_folded_prefix_counts_as_one_result_and_is_not_given_twice() -> None:
    assert names_of(TREE, delimiter="/", results_max=2) == (["a.txt"], ["dir/"], "dir/two")
    assert names_of(TREE, delimiter="/", results_max=2, marker="dir/two") == (["e"], [], "")


def test_the_last_page_has_no_marker_even_when_it_is_full() -> None:
    assert names_of(TREE, results_max=5)[2] == ""
    assert names_of(TREE, results_max=4)[2] == "dir/two"


def test_a_listing_sees_blobs_come_and_go() -> None:
    container = container_of("a", "b")
    assert container.names() == ["a", "b"]
    container.remove("a")
    container.put(Blob("c", "c", 1, "", "", 0.0, 0.0, {}))
    assert container.names() == ["b", "c"]


@given(
    names=st.sets(st.text("ab/", min_size=1, max_size=6), max_size=30),
    delimiter=st.sampled_from(["", "/", "a"]),
    prefix=st.sampled_from(["", "a", "a/", "b"]),
    results_max=st.integers(1, 4),
)
def test_pages_together_are_the_whole_listing(names: set[str], delimiter: str, prefix: str, results_max: int) -> None:
    container = container_of(*names)
    whole_blobs, whole_prefixes, _ = names_of(container, delimiter=delimiter, prefix=prefix)
    blobs: list[str] = []
    prefixes: list[str] = []
    marker = ""
    for _ in range(len(names) + 1):
        more_blobs, more_prefixes, marker = names_of(
            container, delimiter=delimiter, prefix=prefix, results_max=results_max, marker=marker
        )
        assert len(more_blobs) + len(more_prefixes) <= results_max
        blobs, prefixes = blobs + more_blobs, prefixes + more_prefixes
        if not marker:
            break
    assert (blobs, prefixes) == (whole_blobs, whole_prefixes)


# --- ETags -------------------------------------------------------------------------------------------


def test_etags_count_ticks_since_year_one() -> None:
    assert Etags().next(0.0) == '"0x89F7FF5F7B58000"'


def test_two_etags_of_one_instant_differ_and_a_restart_does_not_go_back() -> None:
    etags = Etags()
    first, second = etags.next(5.0), etags.next(5.0)
    assert first != second
    again = Etags()
    again.seen(second)
    assert int(again.next(4.0).strip('"'), 16) == int(second.strip('"'), 16) + 1
