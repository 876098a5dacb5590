"""docs/architecture.md and its picture show the packages and modules that exist, in the order that is checked."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "functions" / "telephony"
PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@pytest.mark.parametrize("name", ["architecture.md", "architecture.svg"])
def test_page_and_picture_name_every_package_and_module(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    words = set(re.findall(r"\w+", text))
    modules = {path.stem for path in PACKAGE.rglob("*.py") if path.parent.name != "resources"} - {"__init__"}

    assert {*PACKAGES, *modules} - words == set()


def test_page_lists_packages_in_checked_order() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    checked = [layer for layer in contracts[0]["layers"] if layer in PACKAGES]
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)

    assert rows == checked
    assert sorted(checked) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_package_docstring_says_what_does_not_belong_there(package: str) -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / package / "__init__.py").read_text())) or ""

    assert re.search(r"\bnot\b|\bOnly\b", docstring)
