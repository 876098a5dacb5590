"""docs/unverified.md says for every assumption what happens if it does not hold, and whether that is safe."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/unverified.md"


def test_every_assumption_has_both_answers_and_a_verdict() -> None:
    rows = [line.strip("|").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    assert rows
    for number, assumption, holds, fails, safe in ([cell.strip() for cell in row] for row in rows):
        assert number.isdecimal()
        for text in (assumption, holds, fails):
            assert re.fullmatch(r"[A-Z`].+\.", text), f"row {number}: {text!r} is not a sentence"
        assert safe in {"yes", "no"}, f"row {number}"
    numbers = [int(row[0]) for row in rows]
    assert numbers == sorted(set(numbers))
