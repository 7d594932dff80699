"""The shape that loader options describe: which attributes of which relationships, as a tree.

`selectinload(Customer.orders).load_only(Order.number)` says to SQLAlchemy how to load; to sojourn it says what must be
there. Every option that loads a relationship (selectin, joined, subquery, immediate) means the same here: it belongs to
the shape. `defer`, `load_only` and `raiseload` on columns leave columns out, `undefer` takes them in; `lazyload`,
`noload` and `raiseload` leave a relationship out. Relationships that are mapped as eager belong to every shape.

As in SQLAlchemy, what names an attribute outweighs a wildcard at its place, that one a wildcard that holds everywhere,
and that one the mapping; a wildcard or the mapping adds no relationship back to a class that the path went through.
`of_type` opens the attributes of a subclass and hides no member. The tree grows where it is looked at, so a wildcard
over many related classes costs nothing before there are objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import LoaderCriteriaOption, Mapper
from sqlalchemy.sql.base import ExecutableOption

from sojourn.errors import WrongAttributeError
from sojourn.mapping.blueprint import Blueprint, ColumnAttribute, Relationship, blueprint
from sojourn.sqlalchemy_internals import OptionStep, option_steps

EAGER = ("selectin", "joined", "subquery", "immediate", False, "select_in")


@dataclass(eq=False)
class Wildcards:
    """What options say about all columns and all relationships at once; None: nothing."""

    columns: bool | None = None  # undefer("*"), or load_only and defer("*"): a column that is not named is left out
    relationships: bool | None = None
    groups: set[str] = field(default_factory=set)  # undefer_group


@dataclass(eq=False)
class General:
    """What holds at every place of the tree."""

    wildcards: Wildcards = field(default_factory=Wildcards)
    criteria: list[ExecutableOption] = field(default_factory=list)  # with_loader_criteria: limits what is loaded anew
    others: list[ExecutableOption] = field(default_factory=list)  # options of the user's own kind


@dataclass(eq=False)
class Shape:
    """One node of the tree: the columns and relationships that are wanted of the objects at this place."""

    path: tuple[Mapper[Any], ...]  # the classes from the root to here
    general: General
    columns: dict[str, bool] = field(default_factory=dict)  # named in an option: wanted or left out
    wildcards: Wildcards = field(default_factory=Wildcards)
    grown: dict[str, Branch] = field(default_factory=dict)

    def wanted_columns(self, plan: Blueprint) -> list[str]:
        """The column attributes of an object that belong to the shape; its key and version always do."""
        return [key for key in plan.columns if self._wants_column(plan, key)]

    def selected_columns(self, plan: Blueprint) -> list[str]:
        """Those that a SELECT with these options loads, less a key that is deferred by name."""
        return [
            key
            for key, column in plan.columns.items()
            if self._selects(column) or (column.primary_key and key not in self.columns)
        ]

    def branches(self, plan: Blueprint) -> list[tuple[Relationship, Branch]]:
        """The relationships of an object that belong to the shape."""
        wanted = [rel for rel in plan.relationships.values() if rel.loadable and self._wants(rel)]
        return [(rel, self.branch(rel.key, rel.target)) for rel in wanted]

    def branch(self, key: str, target: Mapper[Any]) -> Branch:
        """The branch for a relationship of this name."""
        found = self.grown.get(key)
        if found is None:
            found = self.grown[key] = Branch(Shape((*self.path, target), self.general))
        return found

    def _wants_column(self, plan: Blueprint, key: str) -> bool:
        column = plan.columns[key]
        if column.primary_key or key == plan.version or self._selects(column):
            return True
        # A foreign key is how the shape's own references are found again, so a wildcard does not leave it out; the one
        # that ties the table of a subclass to its parent's repeats the key.
        ties_tables = getattr(column.column, "primary_key", False)
        by_wildcard = key not in self.columns and self._all_columns() is False
        return column.foreign_key and not ties_tables and by_wildcard

    def _selects(self, column: ColumnAttribute) -> bool:
        named = self.columns.get(column.key)
        if named is not None or column.query_only:
            return bool(named) and not column.query_only
        all_columns = self._all_columns()
        if all_columns is not None:
            return all_columns
        return not column.deferred or column.group in self.wildcards.groups | self.general.wildcards.groups

    def _all_columns(self) -> bool | None:
        here, everywhere = self.wildcards.columns, self.general.wildcards.columns
        return everywhere if here is None else here

    def _wants(self, rel: Relationship) -> bool:
        named = self.grown.get(rel.key)
        if named is not None and named.wanted is not None:
            return named.wanted
        for wildcards in (self.wildcards, self.general.wildcards):
            if wildcards.relationships is not None:
                return wildcards.relationships and self._goes_on(rel)
        return rel.property.lazy in EAGER and self._goes_on(rel)

    def _goes_on(self, rel: Relationship) -> bool:
        depth: int | None = rel.property.join_depth
        return len(self.path) <= depth if depth else rel.target not in self.path


@dataclass(eq=False)
class Branch:
    """A relationship in a shape: what is wanted of its members, and the `.and_()` criteria that limit them."""

    shape: Shape
    wanted: bool | None = None  # None: no option says; one may still lead through it, as defaultload does
    criteria: tuple[Any, ...] = ()
    target: Mapper[Any] | None = None  # of_type, where it matters: the class that the criteria are about
    repeated: bool = False  # followed again below itself


def shapes(mappers: Iterable[Mapper[Any]], options: Sequence[ExecutableOption]) -> dict[Mapper[Any], Shape]:
    """The shape for each root mapper. Mappers of one hierarchy to which the same options apply share it.

    Raises WrongAttributeError for what is no loader option, and for one that no root has anything to do with. Database:
    none.
    """
    general = General()
    steps: list[OptionStep] = []
    for option in options:
        if not isinstance(option, ExecutableOption):
            raise WrongAttributeError(option, "is no loader option", "Pass selectinload(...) and its like.")
        found = option_steps(option)
        if found is None:
            (general.criteria if isinstance(option, LoaderCriteriaOption) else general.others).append(option)
            continue
        for step in found:
            if step.root is None:
                _say(general.wildcards, step)
            else:
                steps.append(step)
    roots = list(mappers)
    _check_roots(roots, steps)
    shared: dict[tuple[Any, ...], Shape] = {}
    for mapper in roots:
        applying = [step for step in steps if step.root is not None and mapper.isa(step.root)]
        key = (mapper.base_mapper, *map(id, applying))
        if key not in shared:
            shared[key] = Shape((mapper.base_mapper,), general)
            for step in applying:
                _grow(shared[key], step)
        shared[mapper,] = shared[key]
    return {mapper: shared[mapper,] for mapper in roots}


def _check_roots(roots: Sequence[Mapper[Any]], steps: Iterable[OptionStep]) -> None:
    bases = {mapper.base_mapper for mapper in roots}
    for step in steps:
        if bases and step.root is not None and step.root.base_mapper not in bases:
            given = ", ".join(sorted(mapper.class_.__name__ for mapper in roots))
            shown = ".".join((step.root.class_.__name__, *step.path[:1]))
            raise WrongAttributeError(
                shown, f"leads nowhere from {given}", "Begin the option at the class of the objects."
            )


def _grow(shape: Shape, step: OptionStep) -> None:
    for position, name in enumerate(step.path[:-1]):
        shape = shape.branch(name, step.targets[position]).shape
    if step.path:
        _apply(shape, step.path[-1], step)


def _apply(shape: Shape, name: str, step: OptionStep) -> None:
    strategy = step.strategy
    if name.endswith(":*"):
        _say(shape.wildcards, step)
    elif "deferred" in strategy:
        shape.columns[name] = not strategy["deferred"]
    elif "lazy" in strategy:
        target = step.targets[-1]
        branch = shape.branch(name, target)
        branch.wanted = strategy["lazy"] in EAGER
        if branch.wanted:
            _check_loadable(step)
        if step.criteria:
            branch.criteria, branch.target = step.criteria, target
        if step.recursion is not None and not branch.repeated:  # SQLAlchemy names the second level, too
            _repeat(branch, name, target, step.recursion)


def _check_loadable(step: OptionStep) -> None:
    owner = step.targets[-2] if len(step.targets) > 1 else step.root
    rel = None if owner is None else blueprint(owner).relationships.get(step.path[-1])
    if rel is not None and not rel.loadable:
        raise WrongAttributeError(str(rel.property), "holds no members in memory", "Leave this option out.")
    if step.criteria and step.aliased:
        raise WrongAttributeError(
            step.path[-1], "is limited by criteria on an alias", "Write them on the class itself."
        )


def _repeat(branch: Branch, name: str, target: Mapper[Any], times: int) -> None:
    """A self-referential relationship that is followed again and again, without end where `times` is negative."""
    branch.repeated = True
    if times < 0:
        branch.shape.grown[name] = branch
        return
    for _ in range(times):
        branch = branch.shape.branch(name, target)
        branch.wanted = branch.repeated = True


def _say(wildcards: Wildcards, step: OptionStep) -> None:
    strategy = step.strategy
    if step.group is not None:
        wildcards.groups.add(step.group)
    elif step.path[-1] == "relationships:*":
        wildcards.relationships = strategy.get("lazy") in EAGER
    elif "deferred" in strategy:
        wildcards.columns = not strategy["deferred"]
