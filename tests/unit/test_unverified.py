"""docs/unverified.md says for every assumption what happens if it does not hold, and whether that is safe."""

import re
from pathlib import Path

from telephony_cli.verification.run import EXPERIMENTS

PAGE = Path(__file__).parents[2] / "docs/unverified.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ")
][1:]


def test_every_assumption_has_both_answers_and_a_verdict() -> None:
    assert ROWS
    for number, assumption, holds, fails, safe, decided in ROWS:
        assert number.isdecimal()
        for text in (assumption, holds, fails):
            assert re.fullmatch(r"[A-Z`].+\.", text), f"row {number}: {text!r} is not a sentence"
        assert safe in {"yes", "no"}, f"row {number}"
        assert decided in {"yes", "in part", "no"}, f"row {number}"
    numbers = [int(row[0]) for row in ROWS]
    assert numbers == sorted(set(numbers))


def test_decided_assumptions_are_those_of_the_experiments() -> None:
    marked = {int(row[0]) for row in ROWS if row[-1] != "no"}

    assert marked == {row for experiment in EXPERIMENTS for row in experiment.rows}
