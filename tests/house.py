"""The house rules as pure functions over source text: each takes `{module name: source}` and returns its complaints.

tests/test_house.py applies them to src/sojourn, and proves on small bad sources that each can fail. Everything is
read from the syntax tree, so an import inside a function or under TYPE_CHECKING counts like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = "sojourn"
Sources = Mapping[str, str]

# Lowest first. A wing may import from lower floors and from itself, not from a neighbour on its own floor.
FLOORS = (
    {"collector", "errors"},
    {"sqlalchemy_internals"},
    {"mapping"},
    {"reconcile", "snapshot"},
    {"session"},
    {"batch", "cache", "record"},
    {"asyncio"},
    {"integrations", "demo"},
    {"cli", ROOT},
)

# Wings that decide and describe, and so may not act.
PURE = ("reconcile", "snapshot")
IO_MODULES = {
    *(
        "asyncio",
        "http",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "selectors",
        "shutil",
        "socket",
        "sqlite3",
    ),
    *("ssl", "subprocess", "tempfile", "threading", "urllib"),
}
IO_CALLS = {"input", "open", "print"}
SESSIONS = {"Session", "AsyncSession", "async_scoped_session", "async_session", "object_session", "scoped_session"}
SESSION_MODULES = {"sqlalchemy.ext.asyncio", "sqlalchemy.orm.scoping", "sqlalchemy.orm.session"}

# The one room that may touch SQLAlchemy's private parts.
WALLED = "sojourn.sqlalchemy_internals"
# Without an underscore, but not documented for use by others.
SEMI_PRIVATE = {
    *("callables", "committed_state", "dispatch", "get_impl", "impl", "new_instance", "sethasparent", "session_id"),
}
# Documented in spite of the underscore: named tuples, and SQLAlchemy's rows that follow them.
PUBLIC_UNDERSCORES = {"_asdict", "_fields", "_make", "_mapping", "_replace"}
BY_NAME = {"attrgetter", "delattr", "getattr", "hasattr", "setattr"}

MAX_LINES = 400


def sources_of(package: Path) -> dict[str, str]:
    """Every module under the package's directory, by its dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def floors(sources: Sources) -> list[str]:
    """Imports go down only, and nobody imports the root."""
    complaints = []
    for module, source in sources.items():
        if _floor(module) is None:
            complaints.append(f"{module}: stands on no floor; give it one in tests/house.py and in the docs")
            continue
        for line, target in _own_imports(source, sources):
            here, there = _floor(module), _floor(target)
            if target.startswith("."):
                complaints.append(f"{module}:{line} imports {target} relatively; write the full name")
            elif target == ROOT:
                complaints.append(f"{module}:{line} imports the root package")
            elif here is not None and there is not None and _wing(module) != _wing(target) and there >= here:
                complaints.append(f"{module}:{line} imports {target}, which is not on a lower floor")
    return complaints


def cycles(sources: Sources) -> list[str]:
    """No two modules need each other, not even inside one wing."""
    graph = {module: {target for _, target in _own_imports(source, sources)} for module, source in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["a cycle: " + " -> ".join(reversed(error.args[1]))]
    return []


def purity(sources: Sources) -> list[str]:
    """reconcile knows no SQLAlchemy; reconcile and snapshot know no session and do no I/O."""
    complaints = []
    for module, source in sources.items():
        if _wing(module) not in PURE:
            continue
        tree = ast.parse(source)
        for line, imported, name in _imports(tree):
            full = f"{imported}.{name}" if name else imported
            if imported.partition(".")[0] in IO_MODULES:
                complaints.append(f"{module}:{line} imports {imported}, which does I/O")
            if name in SESSIONS or imported in SESSION_MODULES or full in SESSION_MODULES:
                complaints.append(f"{module}:{line} imports {full}: no session here")
            if _wing(module) == "reconcile" and imported.partition(".")[0] == "sqlalchemy":
                complaints.append(f"{module}:{line} imports {imported}: reconcile knows no SQLAlchemy")
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IO_CALLS:
                complaints.append(f"{module}:{node.lineno} calls {node.func.id}(), which does I/O")
            if isinstance(node, ast.Attribute) and node.attr in SESSIONS:
                complaints.append(f"{module}:{node.lineno} uses {node.attr}: no session here")
    return complaints


def private_wall(sources: Sources) -> list[str]:
    """Only sqlalchemy_internals touches what others keep private. A module's own private names are its own business."""
    complaints = []
    for module, source in sources.items():
        if module == WALLED or module.startswith(f"{WALLED}."):
            continue
        tree = ast.parse(source)
        for line, imported, name in _imports(tree):
            if imported.partition(".")[0] not in {ROOT, "__future__"} and (
                any(map(_is_private, imported.split("."))) or (name and _is_private(name))
            ):
                complaints.append(f"{module}:{line} imports private {imported}{'.' + name if name else ''}")
        own = set(_own_names(tree))
        complaints += [
            f"{module}:{line} touches {name}; ask sqlalchemy_internals"
            for line, name in _touched(tree)
            if name not in own and (_is_private(name) or name in SEMI_PRIVATE)
        ]
    return complaints


def rooms(sources: Sources) -> list[str]:
    """Each module says what it is for, and is short enough to be about one thing."""
    complaints = []
    for module, source in sources.items():
        package = module.rpartition(".")[0]
        if package and package not in sources:
            complaints.append(f"{module}: its package has no __init__.py to say what the wing is for")
        if not ast.get_docstring(ast.parse(source)):
            complaints.append(f"{module}: no docstring")
        lines = len(source.splitlines())
        if lines > MAX_LINES:
            complaints.append(f"{module}: {lines} lines, more than {MAX_LINES}")
    return complaints


def reached(sources: Sources, start: str, wing: str) -> set[str]:
    """The module and everything in the wing that it imports, however far down."""
    found: set[str] = set()
    queue = [start]
    while queue:
        module = queue.pop()
        if module not in found:
            found.add(module)
            imported = {target for _, target in _own_imports(sources[module], sources)}
            queue += sorted(target for target in imported if _wing(target) == wing)
    return found


def _wing(module: str) -> str:
    """The part of the house: `sojourn.session.attach` is in `session`, the root package is `sojourn` itself."""
    return module.split(".")[1] if "." in module else module


def _floor(module: str) -> int | None:
    return next((number for number, wings in enumerate(FLOORS) if _wing(module) in wings), None)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, str | None]]:
    """(line, module, name or None) of each import, wherever it stands; a relative import begins with its dots."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name, None) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from ((node.lineno, "." * level + (module or ""), alias.name) for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield node.lineno, module, None


def _own_imports(source: str, sources: Sources) -> Iterator[tuple[int, str]]:
    """The imports of sojourn's own modules. `from sojourn.mapping import graph` imports the module, if there is one."""
    for line, imported, name in _imports(ast.parse(source)):
        if imported.startswith(".") or imported.partition(".")[0] == ROOT:
            yield line, f"{imported}.{name}" if f"{imported}.{name}" in sources else imported


def _is_private(name: str) -> bool:
    dunder = name.startswith("__") and name.endswith("__")
    return name.startswith("_") and not dunder and name not in PUBLIC_UNDERSCORES


def _touched(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, attribute name) of each access, by dot or by name, except on self and on sqlalchemy_internals itself."""
    room = WALLED.removeprefix(f"{ROOT}.")
    exempt = {"self", "cls"} | {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == ROOT
        for alias in node.names
        if alias.name == room
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner)) if owner in exempt:
                continue
            case ast.Attribute(attr=name):
                yield node.lineno, name
            case ast.Call(func=ast.Name(id=function), args=arguments) if function in BY_NAME:
                for argument in arguments:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield node.lineno, argument.value


def _own_names(tree: ast.AST) -> Iterator[str]:
    """The attribute names that the module itself defines: functions, classes, class fields, attributes of self."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                if isinstance(node, ast.ClassDef):
                    yield from _fields(node)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name


def _fields(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                yield from (str(part.value) for part in ast.walk(value) if isinstance(part, ast.Constant))
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
