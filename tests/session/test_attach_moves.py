"""What I moved to another owner before I removed its former one: it stays, whichever of their collections are loaded.

SQLAlchemy itself does so where the same objects are added to a session, and each test says that first.
"""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import CircularDependencyError
from sqlalchemy.orm import Session

from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.snapshot import dumps, loads
from tests.databases import Database
from tests.models import keys
from tests.models.keys import Node
from tests.session.attaching import others, rows

WAYS = ["added", "changed", "all", "none"]  # as SQLAlchemy does it, and each `verify` of attach
LEAVES = 8  # SQLAlchemy's sets have no order: one leaf may be spared by chance, not each of them


def tree_away(database: Database, *loaded: str) -> tuple[Node, Node, Node, list[Node]]:
    """A root with two nodes, and leaves below the first. The parents are loaded, and the root's children; the children
    of other nodes only where `loaded` names them."""
    database.create(keys.Base.metadata)
    with others(database) as session:
        former = Node(name="former", children=[Node(name=f"leaf {number}") for number in range(LEAVES)])
        session.add(Node(name="root", children=[former, Node(name="latter")]))
    with database.session() as session:
        nodes = {node.name: node for node in session.scalars(select(Node).order_by(Node.id))}
        for node in nodes.values():
            assert (node.parent is None) == (node.name == "root")
        for name in ("root", *loaded):
            assert len(nodes[name].children) == {"root": 2, "former": LEAVES, "latter": 0}[name]
        detach(session, list(nodes.values()))
    root, former, latter = (nodes.pop(name) for name in ("root", "former", "latter"))
    return root, former, latter, list(nodes.values())


def come_home(session: Session, way: str, objs: list[Any], *, by_bytes: bool) -> list[str]:
    """Flushed; the names of what the report calls deleted."""
    coming = loads(dumps(objs), Node) if by_bytes else objs
    if way == "added":
        session.add_all(coming)
        session.flush()
        return []
    report = attach(session, coming, verify=way)  # type: ignore[arg-type]  # one of its three words
    names = sorted(node.name for node in report.deleted)
    session.flush()
    return names


@pytest.mark.parametrize("by_bytes", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loaded", [(), ("former",), ("latter",), ("former", "latter")], ids=" and ".join)
@pytest.mark.parametrize("at_home", [False, True])
def test_what_has_moved_survives_the_removal_of_its_former_owner(
    sqlite: Database, loaded: tuple[str, ...], way: str, *, by_bytes: bool, at_home: bool
) -> None:
    root, former, latter, leaves = tree_away(sqlite, *loaded)
    for leaf in leaves:
        leaf.parent = latter
    root.children.remove(former)
    stored = {"root": None, "latter": root.id, **{leaf.name: latter.id for leaf in leaves}}
    with sqlite.session() as session:
        kept = list(session.scalars(select(Node))) if at_home and way != "added" else []
        deleted = come_home(session, way, [root, former, latter, *leaves], by_bytes=by_bytes)
        assert deleted == ([] if way == "added" else ["former"])
        session.commit()
        del kept
    assert {node.name: node.parent_id for node in rows(sqlite, Node)} == stored


@pytest.mark.parametrize("by_bytes", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loaded", [("former",), ("former", "latter")], ids=" and ".join)
def test_what_has_moved_goes_with_both_of_its_owners(
    sqlite: Database, loaded: tuple[str, ...], way: str, *, by_bytes: bool
) -> None:
    root, former, latter, leaves = tree_away(sqlite, *loaded)
    for leaf in leaves:
        leaf.parent = latter
    root.children.clear()
    with sqlite.session() as session:
        come_home(session, way, [root, former, latter, *leaves], by_bytes=by_bytes)
        session.commit()
    assert [node.name for node in rows(sqlite, Node)] == ["root"]


@pytest.mark.parametrize("by_bytes", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_node_below_itself_is_the_cycle_that_sqlalchemy_calls_it(
    sqlite: Database, way: str, *, by_bytes: bool
) -> None:
    root, former, _, leaves = tree_away(sqlite, "former")
    leaves[0].parent = leaves[0]
    root.children.remove(former)
    with sqlite.session() as session, pytest.raises(CircularDependencyError):
        come_home(session, way, [root, former, *leaves], by_bytes=by_bytes)
