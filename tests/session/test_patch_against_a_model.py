"""Random payloads against random shops: a reference model in plain Python says what each must do (Hypothesis)."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, ForeignKey, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload
from sqlalchemy.pool import StaticPool

from sojourn.errors import MissingRowError, PayloadError
from sojourn.session.patch import patch
from tests.statements import recorded


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owner"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]


class Box(Base):
    __tablename__ = "box"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owner.id"))
    owner: Mapped[Owner | None] = relationship()
    things: Mapped[list[Thing]] = relationship(back_populates="box", order_by="Thing.id")


class Thing(Base):
    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))
    label: Mapped[str | None]
    size: Mapped[int | None]
    box: Mapped[Box | None] = relationship(back_populates="things")


ALLOW: Any = [Box.name, Box.owner, Box.things, Owner.name, Thing.label, Thing.size]
NAMES = st.sampled_from(["a", "b", None])
OWNER_ROW = st.fixed_dictionaries({"name": NAMES})
BOX_ROW = st.fixed_dictionaries({"name": NAMES, "owner_id": st.sampled_from([1, 2, None])})
THING_ROW = st.fixed_dictionaries(
    {"box_id": st.sampled_from([1, 1, 1, 2, None]), "label": NAMES, "size": st.integers(0, 2)}
)
ROWS: Any = st.fixed_dictionaries(
    {
        "owner": st.fixed_dictionaries({1: OWNER_ROW, 2: OWNER_ROW}),
        "box": st.fixed_dictionaries({1: BOX_ROW, 2: BOX_ROW}),
        "thing": st.fixed_dictionaries(dict.fromkeys(range(1, 4), THING_ROW), optional={4: THING_ROW, 5: THING_ROW}),
    }
)


def _payload(keys: list[int], **attributes: Any) -> Any:
    """An object that names a row, mostly one that is there, or a new one."""
    old = st.fixed_dictionaries({"id": st.sampled_from(keys)}, optional=attributes)
    return old | old | st.fixed_dictionaries({}, optional=attributes)


OWNER: Any = st.none() | _payload([1, 1, 1, 2, 2, 3], name=NAMES)
THING: Any = _payload([1, 1, 2, 2, 3, 3, 4, 6], label=NAMES, size=st.integers(0, 2))
THINGS: Any = st.lists(THING, max_size=4, unique_by=lambda one: one.get("id", id(one)))
BOX: Any = _payload([1, 1, 1, 1, 2, 2, 2, 3], name=NAMES, owner=OWNER, things=THINGS)
FATES = st.sampled_from(["keep", "unlink", "delete"])


class RefusedError(Exception):
    """What the reference model says where patch must raise."""


class Model:
    """The shop in plain Python: rows by table and key; new rows have keys from 100 on, in the order of the payload."""

    def __init__(self, rows: dict[str, dict[int, dict[str, Any]]]) -> None:
        self.rows = copy.deepcopy(rows)
        for box in self.rows["box"].values():
            box["owner_id"] = box["owner_id"] if box["owner_id"] in rows["owner"] else None
        for thing in self.rows["thing"].values():
            thing["box_id"] = thing["box_id"] if thing["box_id"] in rows["box"] else None
        self.before = copy.deepcopy(self.rows)
        self.written: set[tuple[str, int]] = set()
        self.adopted: set[int] = set()

    def patch(self, payload: list[Any], fate: str, natural: bool) -> None:
        for box in payload:
            self._box(box, fate, natural)

    def _find(self, table: str, given: dict[str, Any]) -> int:
        if "id" not in given:
            key = 100 + len(self.rows[table])
            while key in self.rows[table]:
                key += 1
            self.rows[table][key] = dict.fromkeys({"owner": ["name"], "box": ["name", "owner_id"],
                                                   "thing": ["box_id", "label", "size"]}[table])  # fmt: skip
            return key
        if given["id"] not in self.before[table]:
            raise RefusedError
        return int(given["id"])

    def _write(self, table: str, key: int, given: dict[str, Any], names: list[str]) -> None:
        edits = {name: given[name] for name in names if name in given}
        if edits or {"owner", "things"} & given.keys():
            if (table, key) in self.written:
                raise RefusedError
            self.written.add((table, key))
        self.rows[table][key].update(edits)

    def _box(self, given: dict[str, Any], fate: str, natural: bool) -> None:
        key = self._find("box", given)
        self._write("box", key, given, ["name"])
        if "owner" in given:
            owner = given["owner"]
            owner_key = None if owner is None else self._find("owner", owner)
            if owner is not None and owner_key is not None:
                self._write("owner", owner_key, owner, ["name"])
            self.rows["box"][key]["owner_id"] = owner_key
        if "things" in given:
            self._things(key, given["things"], fate, natural)

    def _things(self, box: int, given: list[Any], fate: str, natural: bool) -> None:
        members = [key for key, thing in self.before["thing"].items() if thing["box_id"] == box]
        named: list[int] = []
        labels: set[str] = set()
        for one in given:
            label = one.get("label")
            if natural and "id" not in one and label is not None:
                if label in labels:
                    raise RefusedError
                labels.add(label)
                same = sorted(key for key in members if self.before["thing"][key]["label"] == label)
                key = same[0] if same else self._find("thing", {})
                names = ["size"] if same else ["label", "size"]
            else:
                key, names = self._find("thing", one), ["label", "size"]
            if key in named:
                raise RefusedError
            named.append(key)
            if key in self.before["thing"] and key not in members:
                if self.before["thing"][key]["box_id"] is not None or key in self.adopted:
                    raise RefusedError
                self.adopted.add(key)
            self._write("thing", key, one, names)
            self.rows["thing"][key]["box_id"] = box
        for key in members:
            if key not in named and fate == "unlink":
                self.rows["thing"][key]["box_id"] = None
            elif key not in named and fate == "delete":
                del self.rows["thing"][key]

    def shape(self) -> Any:
        """What the shop looks like, whatever keys the new rows have."""
        return _shape(self.rows)


def _shape(rows: dict[str, dict[int, dict[str, Any]]]) -> Any:
    def owner(key: int | None) -> Any:
        return None if key is None else (key if key < 100 else "new", rows["owner"][key]["name"])

    def things(box: int | None) -> Any:
        held = [(key if key < 100 else "new", one["label"], one["size"]) for key, one in rows["thing"].items()
                if one["box_id"] == box]  # fmt: skip
        return sorted(held, key=repr)

    boxes = [(key if key < 100 else "new", box["name"], owner(box["owner_id"]), things(key))
             for key, box in rows["box"].items()]  # fmt: skip
    return sorted(boxes, key=repr), things(None), sorted((owner(key) for key in rows["owner"]), key=repr)


def make_engine() -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    Base.metadata.create_all(engine)
    return engine


ENGINE = make_engine()


def fill(session: Session, rows: dict[str, dict[int, dict[str, Any]]]) -> None:
    for table, class_ in (("owner", Owner), ("box", Box), ("thing", Thing)):
        session.add_all([class_(id=key, **values) for key, values in rows[table].items()])
        session.flush()
        session.add(spare := class_(id=100))  # so that new keys are beyond those of the model
        session.flush()
        session.delete(spare)
        session.flush()


def read(session: Session) -> Any:
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for table in Base.metadata.sorted_tables:
        rows = session.execute(select(table)).mappings()
        found[table.name] = {row["id"]: {key: value for key, value in row.items() if key != "id"} for row in rows}
    new = {table: {key if key in FORMER[table] else key + 1000: row for key, row in rows.items()}
           for table, rows in found.items()}  # fmt: skip
    for thing in new["thing"].values():
        if thing["box_id"] is not None and thing["box_id"] not in FORMER["box"]:
            thing["box_id"] += 1000
    for box in new["box"].values():
        if box["owner_id"] is not None and box["owner_id"] not in FORMER["owner"]:
            box["owner_id"] += 1000
    return _shape(new)


FORMER: dict[str, Any] = {}


@given(ROWS, st.lists(BOX, min_size=1, max_size=3), FATES, st.booleans(), st.sampled_from(["none", "some", "all"]))
@settings(max_examples=300)
def test_a_patch_does_what_the_model_says(rows: Any, payload: Any, fate: Any, natural: bool, held: str) -> None:
    model = Model(rows)
    FORMER.clear()
    FORMER.update(model.before)
    try:
        model.patch(payload, fate, natural)
        expected = model.shape()
    except RefusedError:
        expected = None
    with Session(ENGINE) as session:
        fill(session, model.before)
        before = read(session)
        kept: list[Any] = []
        if held == "none":
            session.expunge_all()
        elif held == "some":
            kept = [*session.scalars(select(Box))][::2]
            session.expire_all()
        else:
            session.expire_all()
            kept = [*session.scalars(select(Box).options(selectinload(Box.things), selectinload(Box.owner)))]
        given_payload = copy.deepcopy(payload)
        match: Any = {Thing: [Thing.label]} if natural else None
        with recorded(ENGINE) as log:
            try:
                report = patch(session, Box, payload, allow=ALLOW, match=match, on_absent=fate)
            except (PayloadError, MissingRowError):
                if expected is not None:
                    raise
                assert not session.new
                assert not session.dirty
                assert not session.deleted
                expected = before
            else:
                assert expected is not None, f"not refused: {report}"
                assert all(any(one is box for box in session) for one in report.instances)
                assert report.statements == len(log.selects)
        # One SELECT a table; what hangs on the deleted is looked for in tables that are read already.
        assert len(log) == len(log.selects) <= 3
        assert payload == given_payload
        session.flush()
        session.expire_all()
        assert read(session) == expected
        session.rollback()
        del kept
