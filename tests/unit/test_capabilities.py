"""The tables of capabilities: what this provider has is shown by a test, and the README claims nothing else."""

import re
from pathlib import Path

from tools.types import ROOT

PAGE = ROOT / "docs" / "README.md"
TEST_LINK = re.compile(r"\[(\w+|\w+\.py)\]\(\.\./(tests/[\w/]+\.py)\)")
NOT_SHOWN = ("no", "**no**", "in the schema, without a test")
"""How a cell begins that needs no test."""


def tables(path: Path, heading: str) -> list[list[str]]:
    """Return the cells of the rows of all tables between this heading and the next one of its level."""
    section = re.split(r"(?m)^## ", path.read_text().partition(f"\n## {heading}\n")[2])[0]
    rows = re.findall(r"(?m)^\| (.+) \|$", section)
    return [row.split(" | ") for row in rows if not row.startswith("capability ")]


def without_tests(cell: str) -> str:
    """Return the cell as the README shows it."""
    return re.sub(rf":? ?{TEST_LINK.pattern},?", "", cell).strip()


def missing(cell: str) -> list[str]:
    """Return the linked tests that do not exist. A link that names the file stands for all its tests."""
    return [
        f"{file}: {name}"
        for name, file in TEST_LINK.findall(cell)
        if not (ROOT / file).is_file()
        or (name != Path(file).name and f"\ndef {name}(" not in (ROOT / file).read_text())
    ]


def test_missing_test_is_found() -> None:
    assert missing("yes: [test_missing_test_is_found](../tests/unit/test_capabilities.py)") == []
    assert missing("yes: [test_capabilities.py](../tests/unit/test_capabilities.py)") == []
    assert missing("yes: [test_no_such](../tests/unit/test_capabilities.py)") == [
        "tests/unit/test_capabilities.py: test_no_such"
    ]
    assert missing("yes: [test_no_such](../tests/unit/test_no_such.py)") == ["tests/unit/test_no_such.py: test_no_such"]


def test_every_capability_links_to_an_existing_test() -> None:
    rows = tables(PAGE, "Capabilities")

    assert [row for row in rows if len(row) != 4] == []
    assert [row[0] for row in rows if not row[1].startswith(NOT_SHOWN) and not TEST_LINK.search(row[1])] == []
    assert [problem for row in rows for problem in missing(row[1])] == []


def test_readme_claims_what_the_capabilities_show() -> None:
    shown = [[without_tests(cell) for cell in row] for row in tables(PAGE, "Capabilities")]

    claimed = tables(ROOT / "README.md", "When to use it")

    assert 0 < len(claimed) <= 10
    assert [row for row in claimed if row not in shown] == []
