"""The models themselves: each works on each database, so that a test that uses one tests sojourn and not the model."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import configure_mappers

from tests.databases import Database
from tests.models import all_types, columns, corners, inheritance, keys, loading, relations, shop, styles
from tests.models.all_types import EDGES, SAMPLE, AllTypes

MODULES = (all_types, columns, corners, inheritance, keys, loading, relations, shop, styles)


def test_all_tables_of_all_modules_stand_in_one_database(database: Database) -> None:
    configure_mappers()
    database.create(*(module.Base.metadata for module in MODULES))
    expected = {table for module in MODULES for table in module.Base.metadata.tables}
    assert set(inspect(database.engine).get_table_names()) == expected


@pytest.mark.parametrize("values", [SAMPLE, EDGES], ids=["sample", "edges"])
def test_each_type_gives_back_what_was_stored(database: Database, values: dict[str, Any]) -> None:
    database.create(all_types.Base.metadata)
    with database.session() as session:
        session.add(AllTypes(id=1, **values))
        session.commit()
        row = session.get_one(AllTypes, 1)
        stored = {name: getattr(row, name) for name in values}
    if database.name != "postgresql":  # the others drop the time zone
        stored["an_instant"] = stored["an_instant"].replace(tzinfo=values["an_instant"].tzinfo)
    assert stored == values


def test_polymorphic_rows_come_back_as_their_classes(database: Database) -> None:
    database.create(inheritance.Base.metadata)
    with database.session() as session:
        owner = inheritance.Owner(name="Ann")
        owner.animals = [inheritance.Puppy(name="Rex", tricks=1, weeks=9), inheritance.Cat(name="Tom", lives=9)]
        owner.vehicles = [inheritance.Car(plate="A", doors=4), inheritance.Lorry(plate="B", tons=7, axles=3)]
        session.add(owner)
        session.commit()
        assert {type(each) for each in owner.animals} == {inheritance.Puppy, inheritance.Cat}
        assert {type(each) for each in owner.vehicles} == {inheritance.Car, inheritance.Lorry}


def test_database_side_values_change_on_update(database: Database) -> None:
    database.create(columns.Base.metadata)
    with database.session() as session:
        row = columns.Audited(name="first")
        document = columns.Document(title="first", body="text")
        session.add_all([row, document])
        session.commit()
        assert (row.status, row.made_by, row.edited_by, row.revision) == ("new", "python", None, 1)
        row.name = document.title = "second"
        session.commit()
        assert (row.edited_by, row.revision, document.version) == ("python", 2, 2)
