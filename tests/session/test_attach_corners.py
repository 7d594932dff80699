"""What attach meets seldom: keys that are no primary keys, join conditions that are no foreign keys, places that are
gone, and what only the session itself knows."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import selectinload, undefer

from sojourn.errors import ConflictError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import corners
from tests.models.corners import Crate, Depot, Owner, Papers, Spot, Tool, Truck
from tests.session.attaching import (
    away,
    others,
    partly_away,
    row,
    rows,
)

DEPOT = (selectinload(Depot.trucks).selectinload(Truck.papers), selectinload(Depot.crates))


def depots(database: Database) -> list[Depot]:
    """The depots "a" with a truck, its papers, a tool and a crate, "b" with none, and "c"; detached."""
    database.create(corners.Base.metadata)
    with others(database) as session:
        first = Depot(id=1, code="a")
        first.trucks.append(Truck(id=1, plate="one", papers=Papers(id=1, number="one")))
        first.tools.append(Tool(id=1, name="saw"))
        first.crates["nails"] = Crate(id=1, label="nails", content="steel")
        session.add_all([first, Depot(id=2, code="b"), Depot(id=3, code="c")])
    return away(database, Depot, *DEPOT, selectinload(Depot.tools))


# --- keys that are no primary keys, and join conditions that are no foreign keys --------------------------------------


@pytest.mark.parametrize("policy", ["raise", "mine", "theirs"])
@pytest.mark.parametrize("held", [False, True])
def test_a_reference_through_a_unique_column_merges(sqlite: Database, policy: Any, held: bool) -> None:
    first, second, _ = depots(sqlite)
    truck = first.trucks[0]
    truck.depot = second
    with others(sqlite) as session:
        session.get_one(Truck, 1).depot_code = "c"
    with sqlite.session() as session:
        at_home = [*session.query(Depot), *session.query(Truck)] if held else []
        if policy == "raise":
            with pytest.raises(ConflictError) as caught:
                attach(session, [first, second])
            assert [conflict.attribute for conflict in caught.value.conflicts] == ["depot"]
            return
        attach(session, [first, second], on_conflict=policy)
        session.commit()
        assert at_home == [] or session.get_one(Truck, 1) in at_home
    assert row(sqlite, Truck, 1).depot_code == {"mine": "b", "theirs": "c"}[policy]


def test_a_row_whose_owner_is_known_by_a_unique_column_alone_is_merged_beside_the_owners_removal(
    sqlite: Database,
) -> None:
    depots(sqlite)
    [truck] = partly_away(sqlite, Truck)
    truck.plate = "mine"
    with sqlite.session() as session:
        depot = session.get_one(Depot, 2)
        session.delete(depot)  # it has no trucks
        attach(session, truck)
        session.commit()
    assert row(sqlite, Truck, 1).plate == "mine"


@pytest.mark.parametrize("held", [False, True])
def test_a_reference_whose_join_says_more_than_its_foreign_key_is_written_as_mine(sqlite: Database, held: bool) -> None:
    depots(sqlite)
    with others(sqlite) as session:
        session.add_all([Spot(id=1, state="open"), Spot(id=2, state="open")])
        session.get_one(Truck, 1).spot_id = 1
    [truck] = away(sqlite, Truck, selectinload(Truck.spot))
    truck.spot = away(sqlite, Spot)[1]
    with sqlite.session() as session:
        home = session.get_one(Truck, 1) if held else truck
        assert attach(session, truck).updated == [home]
        session.commit()
    assert row(sqlite, Truck, 1).spot_id == 2


def test_such_a_reference_that_was_emptied_is_empty_on_a_row_made_again(sqlite: Database) -> None:
    depots(sqlite)
    with others(sqlite) as session:
        session.add(Spot(id=1, state="open"))
        session.get_one(Truck, 1).spot_id = 1
    [truck] = away(sqlite, Truck, selectinload(Truck.spot))
    truck.spot = None
    with others(sqlite) as session:
        session.delete(session.get_one(Truck, 1))
    with sqlite.session() as session:
        assert attach(session, truck, on_missing="recreate").inserted == [truck]
        assert truck.spot is None
        session.commit()


@pytest.mark.parametrize("policy", ["raise", "mine", "theirs"])
def test_a_move_between_collections_without_a_way_back_merges(sqlite: Database, policy: Any) -> None:
    first, second, _ = depots(sqlite)
    tool = first.tools.pop()
    second.tools.append(tool)
    with others(sqlite) as session:
        session.get_one(Tool, 1).depot_id = 3
    with sqlite.session() as session:
        if policy == "raise":
            with pytest.raises(ConflictError) as caught:
                attach(session, [first, second])
            [conflict] = caught.value.conflicts
            assert (conflict.attribute, conflict.base, conflict.mine, conflict.theirs) == (
                "tools",
                *((Depot, (key,), None) for key in (1, 2, 3)),
            )
            return
        report = attach(session, [first, second], on_conflict=policy)
        assert report.updated == ([tool] if policy == "mine" else [])
        session.commit()
    assert row(sqlite, Tool, 1).depot_id == {"mine": 2, "theirs": 3}[policy]


@pytest.mark.parametrize(("policy", "result"), [("raise", None), ("mine", 2), ("theirs", 3), ("untouched", 2)])
def test_a_reference_whose_foreign_key_is_not_loaded_merges(sqlite: Database, policy: Any, result: int | None) -> None:
    depots(sqlite)
    with others(sqlite) as session:
        session.add_all([Owner(id=number, name=str(number)) for number in (1, 2, 3)])
        session.get_one(Tool, 1).owner_id = 1
    [tool] = partly_away(sqlite, Tool, selectinload(Tool.owner))
    assert "owner_id" in inspect(tool).unloaded
    tool.owner = away(sqlite, Owner)[1]
    if policy == "untouched":
        policy = "raise"
    else:
        with others(sqlite) as session:
            session.get_one(Tool, 1).owner_id = 3
    with sqlite.session() as session:
        if result is None:
            with pytest.raises(ConflictError) as caught:
                attach(session, tool)
            [conflict] = caught.value.conflicts
            assert [side[1] for side in (conflict.base, conflict.mine, conflict.theirs)] == [(1,), (2,), (3,)]
            return
        attach(session, tool, on_conflict=policy)
        assert tool.owner is not None
        assert tool.owner.id == result
        session.commit()
    assert rows(sqlite, Tool, undefer(Tool.owner_id))[0].owner_id == result
