"""The bare install: sojourn needs SQLAlchemy and msgspec and nothing else. Each test asks a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata, resources

from packaging.requirements import Requirement

# Third-party modules that a bare install has: the two dependencies, and what SQLAlchemy itself needs.
BARE = ("sojourn", "sqlalchemy", "msgspec", "typing_extensions")

# Makes every other installed package look as if it were not.
BLOCK = f"""
import sys
from importlib.abc import MetaPathFinder

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(metadata.packages_distributions()) - set(BARE)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""

# The integrations stand for the frameworks that they integrate with, and AsyncSession needs greenlet (the extra
# "asyncio").
OPTIONAL = ("sojourn.integrations.", "sojourn.asyncio")
IMPORT_ALL = f"""
import importlib, pkgutil, sojourn
for found in pkgutil.walk_packages(sojourn.__path__, "sojourn."):
    if not found.name.startswith({OPTIONAL!r}) and not found.name.endswith(".__main__"):
        importlib.import_module(found.name)
"""


def test_every_module_imports_with_only_the_two_dependencies() -> None:
    result = _run(BLOCK + IMPORT_ALL)
    assert result.returncode == 0, result.stderr


def test_an_undeclared_dependency_would_be_noticed() -> None:
    result = _run(BLOCK + "import pytest")
    assert "No module named 'pytest'" in result.stderr


def test_importing_sojourn_loads_no_optional_package() -> None:
    third_party = (
        "{name.partition('.')[0] for name, module in sys.modules.items() if getattr(module, '__file__', None)}"
        " - sys.stdlib_module_names"
    )
    result = _run(
        f"import json, sys, msgspec, sqlalchemy.orm\nbefore = {third_party}\n"
        f"import sojourn\nprint(json.dumps(sorted({third_party} - before)))"
    )
    assert json.loads(result.stdout) == ["sojourn"]


def test_the_declared_dependencies_are_sqlalchemy_and_msgspec() -> None:
    requirements = [Requirement(line) for line in metadata.requires("sojourn") or ()]
    always = {requirement.name.lower() for requirement in requirements if requirement.marker is None}
    assert always == {"sqlalchemy", "msgspec"}


def test_type_checkers_are_told_that_sojourn_is_typed() -> None:
    assert resources.files("sojourn").joinpath("py.typed").is_file()


def test_the_command_is_installed() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="sojourn")
    assert callable(script.load())


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
