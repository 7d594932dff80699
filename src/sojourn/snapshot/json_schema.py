"""`json_schema`: JSON Schema of what `to_dict` gives.

It describes rows that the database accepted: a column that is not nullable is not null, a string is no longer than its
column. Nothing is claimed that SQLAlchemy does not know: a type that does not say what its Python values are accepts
any value.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Mapper
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql.base import ExecutableOption

from sojourn.errors import WrongAttributeError
from sojourn.mapping.blueprint import Blueprint, ColumnAttribute, blueprint
from sojourn.mapping.shape import Shape, shapes
from sojourn.snapshot.outline import Outline, Reference, outline
from sojourn.snapshot.plain import plain_value
from sojourn.snapshot.plain_types import or_null, type_schema

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MOST = 1000  # definitions: a wildcard over many related classes describes every path through them


def json_schema(model: type[Any], *options: ExecutableOption) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `to_dict` gives of rows of a class, with the same options.

    Objects that hang on others are under `$defs`, one for each place and class. Where a class has subclasses, an object
    is any of them. Formats are those of JSON Schema: date-time and time where the column keeps the time zone (a
    database that drops it gives values without), date-time-local and time-local where it does not, date, duration,
    uuid. A Decimal is a string with a pattern, an Enum one of its names, bytes have contentEncoding base64. A comment
    or `doc` of a column, and the comment of a table, are its description.

    It describes rows, not new objects. `required` has every name that is always there: all but references back to an
    object that may be on the way from the root. Types that do not say what their Python values are (most
    TypeDecorators: give yours a `python_type`) accept any value.

    Parameters:
        model: a mapped class.
        options: SQLAlchemy's own loader options, rooted at the class, as `to_dict` takes them.

    Returns: a dict that `json.dumps` takes as it is. For a list of objects: `{"type": "array", "items": ...}`.

    Raises:
        NotMappedError: `model` is no mapped class.
        WrongAttributeError: an option that is no loader option, or that leads nowhere from the class; a wildcard over
            so many related classes that the schema would have more than 1,000 definitions.

    Database: none.
    """
    mapper = blueprint(model).mapper
    shape = shapes([mapper], options)[mapper]
    classes = _classes(mapper)
    schemas = _Schemas()
    if len(classes) == 1:
        schema = schemas.object(blueprint(classes[0]), shape)
    else:
        schema = {"title": mapper.class_.__name__, **schemas.one_of(classes, shape)}
    definitions = schemas.definitions()
    return {"$schema": _DIALECT, **schema, **({"$defs": definitions} if definitions else {})}


def _classes(mapper: Mapper[Any]) -> list[Mapper[Any]]:
    """The classes that rows of a mapper come back as."""
    return [each for each in mapper.self_and_descendants if not each.polymorphic_abstract] or [mapper]


class _Schemas:
    """The schemas of one call. Those of other objects than the root are made later, by name: a shape may lead back to
    itself."""

    def __init__(self) -> None:
        self.names: dict[tuple[Mapper[Any], Shape], str] = {}
        self.taken: set[str] = set()
        self.waiting: deque[tuple[Mapper[Any], Shape]] = deque()

    def definitions(self) -> dict[str, Schema]:
        """All that was referred to, and what these refer to."""
        made: dict[str, Schema] = {}
        while self.waiting:
            mapper, shape = self.waiting.popleft()
            made[self.names[mapper, shape]] = self.object(blueprint(mapper), shape)
        return made

    def object(self, plan: Blueprint, shape: Shape) -> Schema:
        """The schema of the objects of exactly one class at a place."""
        lines = outline(plan, shape)
        properties = {name: _field(lines, field) for name, field in lines.fields.items()}
        properties |= {ref.relationship.key: self._reference(plan, ref) for ref in lines.references}
        optional = {ref.relationship.key for ref in lines.references if ref.repeats and not ref.relationship.many}
        return {
            "title": plan.entity,
            **_description(getattr(plan.mapper.local_table, "comment", None)),
            **_closed(properties, optional),
        }

    def one_of(self, classes: Sequence[Mapper[Any]], shape: Shape) -> Schema:
        """A reference to the schema of an object of one of these classes."""
        refs = [{"$ref": f"#/$defs/{self._name(mapper, shape)}"} for mapper in classes]
        return refs[0] if len(refs) == 1 else {"anyOf": refs}

    def _reference(self, plan: Blueprint, ref: Reference) -> Schema:
        rel = ref.relationship
        member = self.one_of(_classes(rel.target), ref.shape)
        described = _description(rel.property.doc)
        if rel.many:
            keyed = issubclass(_collection_class(rel.property.collection_class), dict)
            kind = {"type": "object", "additionalProperties": member} if keyed else {"type": "array", "items": member}
            return {**described, **kind}
        # Only a foreign key that is never null promises that there is somebody at its other end.
        points = rel.by_primary_key and not any(_nullable(plan, plan.columns[key]) for key in rel.foreign_keys)
        return {**described, **(member if points else or_null(member))}

    def _name(self, mapper: Mapper[Any], shape: Shape) -> str:
        found = self.names.get((mapper, shape))
        if found is not None:
            return found
        if len(self.names) == _MOST:
            raise WrongAttributeError(
                mapper.class_.__name__,
                f"is reached on so many ways that there are more than {_MOST} definitions",
                "Name the relationships instead of a wildcard.",
            )
        entity, number = mapper.class_.__name__, 1
        name = entity
        while name in self.taken:
            number += 1
            name = f"{entity}{number}"
        self.taken.add(name)
        self.names[mapper, shape] = name
        self.waiting.append((mapper, shape))
        return name


def _field(lines: Outline, field: Any) -> Schema:
    plan = lines.plan
    if isinstance(field, str):
        return _column(plan, plan.columns[field])
    return _closed({name: _column(plan, plan.columns[key]) for name, key in field.items()}, set())


def _closed(properties: dict[str, Schema], optional: set[str]) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _column(plan: Blueprint, column: ColumnAttribute) -> Schema:
    nullable = _nullable(plan, column)
    identity = plan.mapper.polymorphic_identity
    if identity is not None and not nullable and column.key == _discriminator(plan.mapper):
        schema: Schema = {"const": plain_value(identity)}
    else:
        # An expression may well be longer than the column that its type comes from.
        schema = type_schema(column.type, bounded=column.stored)
        schema = or_null(schema) if nullable else schema
    return {**_description(plan.mapper.attrs[column.key].doc, getattr(column.column, "comment", None)), **schema}


def _nullable(plan: Blueprint, column: ColumnAttribute) -> bool:
    """Of joined tables one column stands for several, which are equal: one of them that is never null is enough."""
    return all(getattr(each, "nullable", True) for each in plan.mapper.column_attrs[column.key].columns)


def _discriminator(mapper: Mapper[Any]) -> str | None:
    if mapper.polymorphic_on is None:
        return None
    try:
        return mapper.get_property_by_column(mapper.polymorphic_on).key
    except UnmappedColumnError:
        return None


def _description(*texts: object) -> Schema:
    found = next((text for text in texts if isinstance(text, str) and text), None)
    return {} if found is None else {"description": found}


def _collection_class(given: Any) -> type:
    """A relationship takes a class, or a function that makes a collection, as `ordering_list("position")` is."""
    if given is None:
        return list
    return given if isinstance(given, type) else type(given())
