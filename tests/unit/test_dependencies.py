"""What the code imports is what pyproject.toml declares."""

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import files, packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"finops", "connectors", "forecasting", "optimizer", "reports", "app"}
NAMED_BY_USERS = {"boto3", "azure-mgmt-costmanagement"}
"""The clouds' SDKs, for connectors that fetch."""


def declared() -> set[str]:
    """Names of the distributions that pyproject.toml asks for, extras included."""
    extras = [d for group in PROJECT["optional-dependencies"].values() for d in group]
    return {re.split(r"[<>=\[ ]", d)[0].lower() for d in [*PROJECT["dependencies"], *extras]}


def imported() -> set[str]:
    """Names of the distributions that the code imports."""
    sources = [p for package in sorted(OURS - {"app"}) for p in (ROOT / package).rglob("*.py")] + [ROOT / "app.py"]
    modules: set[str] = set()
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    foreign = {module for module in modules if module.split(".")[0] not in OURS | set(sys.stdlib_module_names)}
    return set().union(*(_distribution(module) for module in foreign))


@cache
def _owners() -> Mapping[str, list[str]]:
    """The distributions that bring each top-level package."""
    return packages_distributions()


@cache
def _files(owner: str) -> frozenset[str]:
    """The files of a distribution."""
    return frozenset(map(str, files(owner) or []))


def _distribution(module: str) -> set[str]:
    """Who brings a module; where several share a namespace (azure, google), whose files it is among."""
    owners = set(_owners().get(module.split(".")[0], [module]))
    if len(owners) > 1:
        path = module.replace(".", "/")
        owners = {owner for owner in owners if {f"{path}.py", f"{path}/__init__.py"} & _files(owner)}
    return {owner.lower().replace("_", "-") for owner in owners}


def test_every_import_is_declared() -> None:
    """No module leans on a package that is only there because another one brought it."""
    assert imported() - declared() == set()


def test_every_declared_package_is_used() -> None:
    """A dependency that nothing imports is removed."""
    assert declared() - imported() - NAMED_BY_USERS == set()


def test_the_pinned_requirements_name_no_index() -> None:
    """Requirements are pinned with hashes and carry no address."""
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
        assert "index-url" not in text
