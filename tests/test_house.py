"""src/sojourn keeps the house rules of tests/house.py, and each rule is shown to catch what it forbids."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import house
from tests.house import Sources

HERE = Path(__file__).parent.parent
SOURCES = house.sources_of(HERE / "src" / "sojourn")
RULES = [house.floors, house.cycles, house.purity, house.private_wall, house.rooms]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_sojourn_keeps_the_rule(rule: Callable[[Sources], list[str]]) -> None:
    assert rule(SOURCES) == []


def test_the_rules_read_the_whole_house() -> None:
    assert {"sojourn", "sojourn.errors", "sojourn.mapping", "sojourn.mapping.blueprint"} <= SOURCES.keys()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sojourn.mapping.state", "from sojourn.session.attach import attach"),
        ("sojourn.mapping.state", "def f():\n    import sojourn.session.attach"),
        ("sojourn.mapping.state", "if TYPE_CHECKING:\n    from sojourn.session import attach"),
        ("sojourn.mapping.state", "import importlib\nimportlib.import_module('sojourn.session.attach')"),
        ("sojourn.errors", "from sojourn.sqlalchemy_internals import State"),
        ("sojourn.snapshot.capture", "from sojourn.reconcile import merge"),
        ("sojourn.session.attach", "from sojourn.asyncio import attach"),
        ("sojourn.cache", "import sojourn.record"),
        ("sojourn.demo", "from sojourn.cli import main"),
        ("sojourn.demo", "from sojourn import attach"),
        ("sojourn.cli", "import sojourn"),
        ("sojourn.mapping.state", "from .identity import key"),
        ("sojourn.attic", "x = 1"),
    ],
)
def test_an_import_that_does_not_go_down_is_reported(module: str, source: str) -> None:
    neighbours = {"sojourn.session.attach": "", "sojourn.session": ""}
    assert house.floors({**neighbours, module: source})


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sojourn.session.attach", "from sojourn.mapping.state import changes\nfrom sojourn.session import prefetch"),
        ("sojourn.session.attach", "from sojourn import errors"),
        ("sojourn", "from sojourn.session.attach import attach"),
        ("sojourn.reconcile", "from collections.abc import Mapping\nfrom sqlalchemy import select"),
    ],
)
def test_an_import_that_goes_down_or_stays_in_its_wing_is_not_reported(module: str, source: str) -> None:
    assert house.floors({"sojourn.errors": "", module: source}) == []


@pytest.mark.parametrize(
    "sources",
    [
        {"sojourn.mapping.a": "from sojourn.mapping.b import x", "sojourn.mapping.b": "import sojourn.mapping.a"},
        {
            "sojourn.mapping.a": "from sojourn.mapping import b",
            "sojourn.mapping.b": "def f():\n import sojourn.mapping.a",
        },
        {"sojourn.mapping": "from sojourn.mapping.a import x", "sojourn.mapping.a": "from sojourn.mapping import x"},
        {
            "sojourn.mapping.a": "import sojourn.mapping.b",
            "sojourn.mapping.b": "import sojourn.mapping.c",
            "sojourn.mapping.c": "import sojourn.mapping.a",
        },
    ],
)
def test_a_cycle_inside_a_wing_is_reported(sources: dict[str, str]) -> None:
    assert house.cycles(sources)


def test_a_package_that_gathers_its_modules_is_no_cycle() -> None:
    gathered = {"sojourn.mapping": "from sojourn.mapping import a, b", "sojourn.mapping.a": "import sojourn.mapping.b"}
    assert house.cycles({**gathered, "sojourn.mapping.b": ""}) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sojourn.reconcile", "import sqlalchemy"),
        ("sojourn.reconcile", "from sqlalchemy.orm import Mapper"),
        ("sojourn.reconcile", "def f():\n    import os"),
        ("sojourn.reconcile", "print('merged')"),
        ("sojourn.snapshot.json", "open('file')"),
        ("sojourn.snapshot.json", "from pathlib import Path"),
        ("sojourn.snapshot.restore", "from sqlalchemy.orm import Session"),
        ("sojourn.snapshot.restore", "from sqlalchemy import orm\norm.Session"),
        ("sojourn.snapshot.restore", "import sqlalchemy.orm.session"),
        ("sojourn.snapshot.restore", "from sqlalchemy.ext import asyncio"),
    ],
)
def test_a_pure_room_that_could_act_is_reported(module: str, source: str) -> None:
    assert house.purity({module: source})


def test_rooms_with_a_session_and_snapshot_reading_mappers_are_not_reported() -> None:
    reading = "from sqlalchemy.orm import Mapper\nimport json"
    assert house.purity({"sojourn.snapshot.capture": reading}) == []
    assert house.purity({"sojourn.session.attach": "from sqlalchemy.orm import Session\nimport os"}) == []


@pytest.mark.parametrize(
    "source",
    [
        "from sqlalchemy.orm.base import _none_set",
        "from sqlalchemy.util import _collections",
        "import sqlalchemy.util._collections",
        "session.identity_map._dict",
        "session._new",
        "state.committed_state",
        "state.committed_state['a'] = 1",
        "del state.callables",
        "Model.name.impl.set(state, value)",
        "manager.new_instance()",
        "mapper.class_manager.dispatch.load(state, None)",
        "attribute.sethasparent(state, parent, True)",
        "state.manager.get_impl('name')",
        "state.session_id = None",
        "obj._sa_instance_state",
        "hasattr(obj, '_sa_instance_state')",
        "getattr(state, 'committed_state', {})",
        "from operator import attrgetter\nattrgetter('_sa_instance_state')",
        "from sojourn.errors import Conflict\nConflict._hidden",
    ],
)
def test_a_private_part_touched_outside_the_wall_is_reported(source: str) -> None:
    assert house.private_wall({"sojourn.mapping.state": source})
    assert house.private_wall({"sojourn.sqlalchemy_internals": source}) == []


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    def __init__(self, other):\n        self._x = other._x",
        "class A:\n    _x: int\ndef f(a):\n    return a._x",
        "class A:\n    __slots__ = ('_x', 'impl')\ndef f(a):\n    return a._x, a.impl",
        "from sojourn import sqlalchemy_internals as internals\ninternals.new_instance(mapper)",
        "from sojourn.sqlalchemy_internals import new_instance\nnew_instance(mapper)",
        "obj.__dict__, row._mapping, pair._replace(a=1)",
        "from __future__ import annotations",
        "getattr(obj, 'name')",
    ],
)
def test_own_and_public_names_are_not_reported(source: str) -> None:
    assert house.private_wall({"sojourn.mapping.state": source}) == []


PACKAGES = {"sojourn": "'''Doc.'''", "sojourn.mapping": "'''Doc.'''"}


@pytest.mark.parametrize("source", ["x = 1", "'''Doc.'''\n" + "x = 1\n" * 400])
def test_a_room_without_docstring_or_too_long_is_reported(source: str) -> None:
    assert house.rooms({**PACKAGES, "sojourn.mapping.state": source})


def test_a_wing_without_its_own_docstring_is_reported() -> None:
    assert house.rooms({"sojourn": "'''Doc.'''", "sojourn.mapping.state": "'''Doc.'''"})


def test_a_short_room_with_a_docstring_is_not_reported() -> None:
    assert house.rooms({**PACKAGES, "sojourn.mapping.state": "'''Doc.'''\n" + "x = 1\n" * 399}) == []


def test_make_coverage_measures_all_that_attach_and_patch_are_made_of() -> None:
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))
    listed = [HERE / path for path in project["tool"]["coverage"]["report"]["include"]]
    assert [path for path in listed if not path.is_file()] == []
    measured = {".".join(path.relative_to(HERE / "src").with_suffix("").parts) for path in listed}
    attach, patch = (house.reached(SOURCES, f"sojourn.session.{verb}", "session") for verb in ("attach", "patch"))
    assert (attach | patch) - measured == set()


def test_what_a_room_reaches_ends_at_its_wing() -> None:
    sources = {
        "sojourn.session.a": "def f():\n    from sojourn.session import b\nimport sojourn.errors",
        "sojourn.session.b": "from sojourn.session.a import f",
        "sojourn.session.c": "from sojourn.session.a import f",
        "sojourn.errors": "",
    }
    assert house.reached(sources, "sojourn.session.a", "session") == {"sojourn.session.a", "sojourn.session.b"}
