"""`to_dict`: objects as plain nested data, for an API.

The tree is written level by level: all objects that stand at one place of the shape, whoever their parents are, are
written together, column by column. So the work for one object is done in C for the most part, and depth is bounded by
memory and not by the stack.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn, overload

from sqlalchemy.orm.attributes import instance_dict, instance_state
from sqlalchemy.sql.base import ExecutableOption

from sojourn.collector import collector_paused
from sojourn.errors import NotLoadedError, SnapshotError
from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.mapping.identity import as_list
from sojourn.mapping.shape import Shape, shapes
from sojourn.snapshot.forms import Form, FormReference, Place, Plain, place_of
from sojourn.snapshot.plain import plain_column, plain_key
from sojourn.sqlalchemy_internals import members


@overload
def to_dict(  # type: ignore[overload-overlap]  # an iterable of objects is an object, too; the first one wins
    obj: Iterable[object], *options: ExecutableOption
) -> list[dict[str, Any]]: ...
@overload
def to_dict(obj: object, *options: ExecutableOption) -> dict[str, Any]: ...
def to_dict(obj: Any, *options: ExecutableOption) -> Any:
    """An object and what hangs on it as plain nested data, ready for `json.dumps` as it is.

    Without options: the columns that a plain SELECT of the class loads. SQLAlchemy's loader options choose another
    shape: `selectinload`, `joinedload` and their like put a relationship in, `load_only` and `defer` leave columns out,
    `undefer` puts them in. A relationship that is only mapped as eager is not in. The shape does not depend on what
    happens to be loaded: `json_schema` with the same options describes it.

    Columns and column properties stand under their attributes' names, a composite as an object of its parts, a
    collection as an array, or as an object where it is a dict. Decimal, UUID, date and time are strings (a timedelta in
    ISO 8601), bytes are base64, an Enum is its name. Hybrids, synonyms, association proxies, dynamic and write-only
    collections are not in. An object on the way from the root does not stand inside itself: a reference to it is left
    out, in a collection, too. Other shared objects stand at each place.

    Parameters:
        obj: one mapped instance, or an iterable of them, in whatever state.
        options: SQLAlchemy's own loader options, rooted at the classes of `obj`. Pass what you gave to `select`,
            `prefetch` or `detach`.

    Returns: a dict for one instance, a list of dicts for an iterable. Nothing in it is shared with the objects.

    Raises:
        NotLoadedError: an attribute of the shape is not loaded, or a new object has no value for it yet.
        SnapshotError: a value that JSON has no form for: NaN, infinity, an unknown Python type. It names the attribute.
        NotMappedError: something that was given is no mapped instance.
        WrongAttributeError: an option that is no loader option, or that leads nowhere from these classes.

    Database: none.
    """
    objs = as_list(obj)
    with collector_paused():
        plain = _write(objs, options)
    return plain[0] if objs and objs[0] is obj else plain


def _write(roots: Sequence[Any], options: Sequence[ExecutableOption]) -> list[Plain]:
    mappers = {class_: blueprint(class_).mapper for class_ in dict.fromkeys(map(type, roots))}
    of_mappers = shapes(mappers.values(), options)
    places: dict[Shape, Place] = {}
    writing = _Writing()
    forms = {class_: place_of(of_mappers[mapper], places)[class_] for class_, mapper in mappers.items()}
    made = writing.write(roots, forms, None, range(len(roots)))
    while writing.levels:
        writing.write_references(writing.levels.popleft())
    return made


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """Objects of one class at one place, whose references are still to be written. `origins` are the positions of
    their parents in the level above."""

    form: Form
    objs: Sequence[Any]
    rows: Sequence[Mapping[str, Any]]
    made: Sequence[Plain]
    above: _Level | None
    origins: Sequence[int]


class _Writing:
    """One call of `to_dict`."""

    def __init__(self) -> None:
        self.levels: deque[_Level] = deque()
        self.met: set[int] = set()  # ids of the objects in all levels so far: what is not here is nobody's ancestor

    def write(
        self, objs: Sequence[Any], forms: Mapping[type, Form], above: _Level | None, origins: Sequence[int]
    ) -> list[Plain]:
        """The objects at one place. What hangs on them is put in later."""
        classes = dict.fromkeys(map(type, objs))
        if len(classes) == 1:
            return self._write_class(forms[next(iter(classes))], objs, above, origins)
        made: list[Plain] = [{}] * len(objs)
        for class_ in classes:
            here = [position for position, obj in enumerate(objs) if type(obj) is class_]
            written = self._write_class(
                forms[class_], [objs[position] for position in here], above, [origins[position] for position in here]
            )
            for position, plain in zip(here, written, strict=True):
                made[position] = plain
        return made

    def _write_class(
        self, form: Form, objs: Sequence[Any], above: _Level | None, origins: Sequence[int]
    ) -> list[Plain]:
        rows = list(map(instance_dict, objs))
        made = _columns(form, objs, rows)
        if form.references:
            self.met.update(map(id, objs))
            self.levels.append(_Level(form, objs, rows, made, above, origins))
        return made

    def write_references(self, level: _Level) -> None:
        """Put what hangs on the objects of a level into their plain form."""
        for ref in level.form.references:
            try:
                values = [row[ref.key] for row in level.rows]
            except KeyError:
                _not_loaded(level.form.plan, level.objs, (ref.key,))
            if ref.many:
                self._write_collections(level, ref, values)
            else:
                self._write_one(level, ref, values)

    def _write_one(self, level: _Level, ref: FormReference, values: Sequence[Any]) -> None:
        found: list[Any] = []
        origins: list[int] = []
        for position, value in enumerate(values):
            if value is None:
                level.made[position][ref.key] = None
            elif not (ref.repeats and self._is_above(level, position, value)):
                found.append(value)
                origins.append(position)
        for position, plain in zip(origins, self.write(found, ref.place, level, origins), strict=True):
            level.made[position][ref.key] = plain

    def _write_collections(self, level: _Level, ref: FormReference, values: Sequence[Any]) -> None:
        keyed = isinstance(values[0], dict)
        groups = [list(dict.values(value)) if keyed else members(value) for value in values]
        names = [_names(level.form.plan, ref.key, value) for value in values] if keyed else []
        if ref.repeats:
            for position, group in enumerate(groups):
                kept = [at for at, obj in enumerate(group) if not self._is_above(level, position, obj)]
                if len(kept) < len(group):
                    groups[position] = [group[at] for at in kept]
                    names[position : position + 1] = [[names[position][at] for at in kept]] if keyed else []
        origins = [position for position, group in enumerate(groups) for _ in group]
        plain = self.write(list(chain.from_iterable(groups)), ref.place, level, origins)
        start = 0
        for position, group in enumerate(groups):
            end = start + len(group)
            here = plain[start:end]
            level.made[position][ref.key] = dict(zip(names[position], here, strict=True)) if keyed else here
            start = end

    def _is_above(self, level: _Level, position: int, obj: Any) -> bool:
        """Whether an object stands on the way from the root to the one at this position, itself included."""
        if id(obj) not in self.met:
            return False
        while level.objs[position] is not obj:
            if level.above is None:
                return False
            level, position = level.above, level.origins[position]
        return True


def _columns(form: Form, objs: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> list[Plain]:
    columns: list[Sequence[Any]] = []
    for key, pick in form.picks.items():
        try:
            values: Sequence[Any] = list(map(pick, rows))
        except KeyError:
            _not_loaded(form.plan, objs, form.picks)
        try:
            codec = form.codecs.get(key)
            columns.append(plain_column(values if codec is None else codec.outgoing(values)))
        except ValueError as error:
            raise _formless(form.plan, key, str(error)) from error
    return form.build(zip(*columns, strict=True)) if columns else [{} for _ in objs]


def _names(plan: Blueprint, key: str, collection: dict[Any, Any]) -> list[str]:
    try:
        names = list(map(plain_key, collection))
    except ValueError as error:
        raise _formless(plan, key, str(error)) from error
    if len(set(names)) < len(names):
        raise _formless(plan, key, "has two keys that are the same as text")
    return names


def _not_loaded(plan: Blueprint, objs: Iterable[Any], keys: Iterable[str]) -> NoReturn:
    """Raise the error for the first of these attributes that one of the objects lacks."""
    obj, key = next((obj, key) for obj in objs for key in keys if key not in instance_dict(obj))
    name = f"{plan.entity}.{key}"
    if instance_state(obj).key is None:
        remedy = "Flush and prefetch(session, objs, ...) with the same options, or leave it out of them."
        raise NotLoadedError(plan.entity, key, remedy, "because the object is new and has no value there")
    if key in plan.relationships:
        remedy = (
            f"Load it first: prefetch(session, objs, ...) with the same options; or leave out selectinload({name})."
        )
    else:
        remedy = f"Load it first: prefetch(session, objs, ...) with the same options; or leave it out: defer({name})."
    raise NotLoadedError(plan.entity, key, remedy, "and to_dict never loads")


def _formless(plan: Blueprint, key: str, what: str) -> SnapshotError:
    name = f"{plan.entity}.{key}"
    option = f"leave out selectinload({name})" if key in plan.relationships else f"leave it out: defer({name})"
    return SnapshotError(
        what, where=name, remedy=f"Set another value, say how its type travels with register_type, or {option}."
    )
