"""The laws of the three-way merge. Few distinct values, so that equal ones meet often."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.errors import UNKNOWN
from sojourn.reconcile import key_clashes, left_in_order, merge_members, merge_order, merge_value

VALUES = st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["a", "b"]))
BASES = st.one_of(st.just(UNKNOWN), VALUES)
MEMBERS = st.lists(st.integers(0, 6), unique=True, max_size=6)


def same_text(one: Any, other: Any) -> bool:
    return str(one).lower() == str(other).lower()


# --- one value -------------------------------------------------------------------------------------------------------


@given(base=VALUES, theirs=VALUES)
def test_what_i_did_not_edit_is_theirs(base: Any, theirs: Any) -> None:
    outcome = merge_value(base, base, theirs)
    assert (outcome.value, outcome.conflict, outcome.write) == (theirs, False, False)


@given(base=VALUES, mine=VALUES)
def test_what_they_did_not_edit_is_mine(base: Any, mine: Any) -> None:
    outcome = merge_value(base, mine, base)
    assert (outcome.value, outcome.conflict, outcome.merged) == (mine, False, False)
    assert outcome.write == (mine != base)


@given(base=BASES, both=VALUES)
def test_the_same_edit_on_both_sides_stands_and_is_not_written_again(base: Any, both: Any) -> None:
    outcome = merge_value(base, both, both)
    assert (outcome.value, outcome.conflict, outcome.write) == (both, False, False)


@given(base=VALUES, mine=VALUES, theirs=VALUES)
def test_it_is_a_conflict_if_and_only_if_both_edited_and_differ(base: Any, mine: Any, theirs: Any) -> None:
    edited_by_me, edited_by_them, differ = mine != base, theirs != base, mine != theirs
    assert merge_value(base, mine, theirs).conflict == (edited_by_me and edited_by_them and differ)


@given(base=BASES, mine=VALUES, theirs=VALUES)
def test_the_two_sides_are_treated_alike(base: Any, mine: Any, theirs: Any) -> None:
    one, other = merge_value(base, mine, theirs), merge_value(base, theirs, mine)
    assert one.conflict == other.conflict
    assert one.conflict or one.value == other.value


@given(mine=VALUES, theirs=VALUES)
def test_with_an_unknown_base_equal_values_agree_and_different_ones_conflict(mine: Any, theirs: Any) -> None:
    outcome = merge_value(UNKNOWN, mine, theirs)
    assert outcome.conflict == (mine != theirs)
    assert not outcome.merged


@given(base=BASES, mine=VALUES, theirs=VALUES)
def test_a_conflict_decides_nothing_and_shows_mine(base: Any, mine: Any, theirs: Any) -> None:
    outcome = merge_value(base, mine, theirs)
    assert not outcome.conflict or (outcome.value == mine and outcome.write)


@given(base=BASES, mine=VALUES, theirs=VALUES)
def test_write_and_merged_say_what_differs(base: Any, mine: Any, theirs: Any) -> None:
    outcome = merge_value(base, mine, theirs)
    assert outcome.write == (outcome.value != theirs)
    assert outcome.merged == (base is not UNKNOWN and base != theirs)


@given(base=VALUES, mine=VALUES, theirs=VALUES)
def test_merging_what_was_merged_changes_nothing(base: Any, mine: Any, theirs: Any) -> None:
    outcome = merge_value(base, mine, theirs)
    if not outcome.conflict:
        again = merge_value(base, mine, outcome.value)
        assert (again.value, again.conflict, again.write) == (outcome.value, False, False)


def test_equality_is_the_callers() -> None:
    assert not merge_value("a", "B", "b", same_text).conflict
    assert merge_value("a", "A", "b", same_text).value == "b"
    assert merge_value("a", "b", "A", same_text).value == "b"
    assert merge_value("a", "b", "c", same_text).conflict


def test_an_unknown_base_is_never_compared() -> None:
    compared: list[Any] = []

    def equal(one: Any, other: Any) -> bool:
        compared.extend((one, other))
        return False

    assert merge_value(UNKNOWN, "a", "b", equal).conflict
    assert compared == ["a", "b"]


def test_values_are_equal_by_what_they_say_not_by_being_one_object() -> None:
    assert merge_value([1], [1], [1]).merged is False
    assert merge_value([1], [1], [2]).value == [2]
    assert merge_value([1], [2], [1]).write
    assert not merge_value([1], [2], [2]).conflict


def test_a_base_that_equals_everything_is_known_all_the_same() -> None:
    class Anything:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]  # as for every class that defines __eq__ alone

    outcome = merge_value(Anything(), "mine", "theirs", lambda one, other: one is other)
    assert (outcome.conflict, outcome.merged) == (True, True)


@pytest.mark.parametrize("decision", [merge_value(1, 2, 3), merge_members([1], [2], [3])], ids=["value", "members"])
def test_a_decision_is_not_changed_any_more(decision: Any) -> None:
    for field in fields(decision):
        with pytest.raises(FrozenInstanceError):
            setattr(decision, field.name, None)


# --- members of a collection -----------------------------------------------------------------------------------------


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_no_addition_of_either_side_is_lost_and_every_removal_is_applied(
    base: list[int], mine: list[int], theirs: list[int]
) -> None:
    final = set(merge_members(base, mine, theirs).final)
    assert final >= set(mine) - set(base)
    assert final >= set(theirs) - set(base)
    assert not final & (set(base) - set(mine))
    assert not final & (set(base) - set(theirs))
    assert final <= set(mine) | set(theirs)
    assert final >= set(base) & set(mine) & set(theirs)


@given(base=MEMBERS, theirs=MEMBERS)
def test_a_collection_that_i_did_not_edit_is_theirs(base: list[int], theirs: list[int]) -> None:
    merged = merge_members(base, base, theirs)
    assert (merged.final, merged.added, merged.removed) == (theirs, [], [])


@given(base=MEMBERS, mine=MEMBERS)
def test_a_collection_that_they_did_not_edit_has_my_members(base: list[int], mine: list[int]) -> None:
    merged = merge_members(base, mine, base)
    assert set(merged.final) == set(mine)
    assert (merged.arrived, merged.left) == ([], [])


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_the_members_do_not_depend_on_whose_side_is_called_mine(
    base: list[int], mine: list[int], theirs: list[int]
) -> None:
    assert set(merge_members(base, mine, theirs).final) == set(merge_members(base, theirs, mine).final)


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_each_member_is_there_once_in_their_order_with_my_additions_behind(
    base: list[int], mine: list[int], theirs: list[int]
) -> None:
    merged = merge_members(base, mine, theirs)
    assert len(merged.final) == len(set(merged.final))
    kept = [member for member in theirs if member in merged.final]
    assert merged.final == kept + [member for member in mine if member in merged.added]


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_added_and_removed_lead_from_theirs_to_the_result(base: list[int], mine: list[int], theirs: list[int]) -> None:
    merged = merge_members(base, mine, theirs)
    assert set(merged.final) == (set(theirs) | set(merged.added)) - set(merged.removed)
    assert not set(merged.added) & set(theirs)
    assert set(merged.removed) <= set(theirs)


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_arrived_and_left_are_their_doing_alone(base: list[int], mine: list[int], theirs: list[int]) -> None:
    merged = merge_members(base, mine, theirs)
    assert set(merged.arrived) == set(theirs) - set(base) - set(mine)
    assert set(merged.left) == set(base) & set(mine) - set(theirs)


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_merging_a_merged_collection_again_changes_nothing(base: list[int], mine: list[int], theirs: list[int]) -> None:
    final = merge_members(base, mine, theirs).final
    again = merge_members(base, mine, final)
    assert (again.final, again.added, again.removed) == (final, [], [])


def test_a_member_given_twice_counts_once() -> None:
    assert merge_members([1, 1], [1, 2, 2], [1, 1]).final == [1, 2]


# --- the order of members --------------------------------------------------------------------------------------------


def ordered(base: list[int], mine: list[int], theirs: list[int]) -> list[int]:
    return merge_order(base, mine, theirs, merge_members(base, mine, theirs).final)


def only(some: list[int], members: list[int]) -> list[int]:
    return [one for one in some if one in members]


def settled(base: list[int], side: list[int], other: list[int]) -> list[int]:
    """A side that moved nobody: the members of the base are in its order, and nobody whom the other side added."""
    kept = iter(only(base, side))
    return [next(kept) if one in base else one for one in side if one in base or one not in other]


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_the_order_has_exactly_the_merged_members(base: list[int], mine: list[int], theirs: list[int]) -> None:
    assert sorted(ordered(base, mine, theirs)) == sorted(merge_members(base, mine, theirs).final)


@given(base=MEMBERS, theirs=MEMBERS)
def test_where_i_changed_nothing_their_order_stands(base: list[int], theirs: list[int]) -> None:
    assert ordered(base, base, theirs) == theirs


@given(base=MEMBERS, mine=MEMBERS)
def test_where_they_changed_nothing_my_order_stands(base: list[int], mine: list[int]) -> None:
    assert ordered(base, mine, base) == mine


@given(base=MEMBERS, both=MEMBERS)
def test_the_same_order_on_both_sides_stands(base: list[int], both: list[int]) -> None:
    assert ordered(base, both, both) == both


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_where_they_moved_nobody_my_members_are_in_my_order(
    base: list[int], mine: list[int], theirs: list[int]
) -> None:
    final = ordered(base, mine, settled(base, theirs, mine))
    assert only(final, mine) == only(mine, final)


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_where_i_moved_nobody_their_members_are_in_their_order(
    base: list[int], mine: list[int], theirs: list[int]
) -> None:
    final = ordered(base, settled(base, mine, theirs), theirs)
    assert only(final, theirs) == only(theirs, final)


@given(base=MEMBERS, mine=MEMBERS, theirs=MEMBERS)
def test_merging_a_merged_order_again_changes_nothing(base: list[int], mine: list[int], theirs: list[int]) -> None:
    final = ordered(base, mine, theirs)
    assert ordered(base, mine, final) == final


@pytest.mark.parametrize(
    ("mine", "theirs", "final"),
    [
        ("abcM", "abcT", "abcTM"),  # both appended
        ("Mabc", "Tabc", "TMabc"),  # both put something in front
        ("aMbc", "aTbc", "aTMbc"),
        ("bc", "ab", "b"),  # I removed the first, they the last
        ("bca", "abcT", "bcTa"),  # I moved the first behind all others
        ("abcM", "cab", "cabM"),
        ("cab", "abTc", "cabT"),
        ("bac", "acb", "bac"),  # both moved b: mine stands
        ("acb", "bac", "bac"),  # I moved c behind a, they moved b
        ("cba", "bca", "cba"),
        ("M", "T", "TM"),
        ("", "abcT", "T"),
    ],
)
def test_the_order_of_abc_as_both_changed_it(mine: str, theirs: str, final: str) -> None:
    base = list("abc")
    merged = merge_members(base, list(mine), list(theirs)).final
    assert "".join(merge_order(base, list(mine), list(theirs), merged)) == final


def test_the_order_takes_many_members() -> None:
    many = list(range(20_000))
    assert merge_order(many, [*many[1:], 0, -1], [*many, -2], [*many, -1, -2]) == [*many[1:], -2, 0, -1]


# --- keys of a keyed collection --------------------------------------------------------------------------------------


def test_two_members_under_one_key_clash() -> None:
    assert key_clashes({1: "a", 2: "b"}, {3: "a", 4: "c"}, [1, 2, 3, 4]) == [(1, 3)]


def test_a_member_that_did_not_come_through_the_merge_clashes_with_nobody() -> None:
    assert key_clashes({1: "a"}, {3: "a"}, [1]) == []
    assert key_clashes({1: "a"}, {3: "a"}, [3]) == []


def test_one_member_on_both_sides_does_not_clash_with_itself() -> None:
    assert key_clashes({1: "a"}, {1: "a"}, [1]) == []


def test_a_key_that_moved_to_another_member_on_their_side_is_theirs() -> None:
    assert key_clashes({1: "a", 2: "b"}, {1: "b", 2: "a"}, [1, 2]) == []


@given(
    mine=st.dictionaries(st.integers(0, 4), st.sampled_from("ab")),
    theirs=st.dictionaries(st.integers(3, 7), st.sampled_from("ab")),
    merged=MEMBERS,
)
def test_clashes_are_between_merged_members_with_one_key(
    mine: dict[int, str], theirs: dict[int, str], merged: list[int]
) -> None:
    for my_member, their_member in key_clashes(mine, theirs, merged):
        assert my_member != their_member
        assert mine[my_member] == theirs[their_member]
        assert {my_member, their_member} <= set(merged)


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_who_was_left_in_order_are_as_many_as_can_be(some: list[int], gone: set[int]) -> None:
    there = [one for one in some if one not in gone]
    found = left_in_order(there, list(range(6)))
    assert [one for one in there if one in found] == sorted(found)
    assert not any(list(more) == sorted(more) for more in combinations(there, len(found) + 1))
