"""Every fault of the catalogue is shown by a test, and no test shows a fault that is not in it."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

from tests.faults import plan
from tools import fault_catalogue, fault_matrix
from tools.fault_matrix import Evidence
from tools.types import ROOT


def test_every_fault_is_shown_and_everything_shown_is_a_fault() -> None:
    assert fault_matrix.problems(fault_matrix.shown(ROOT)) == []


def test_a_fault_has_one_entry() -> None:
    names = fault_matrix.names()

    assert len(names) == len(set(names))


def test_markers_are_read_wherever_they_stand(tmp_path: Path) -> None:
    below = tmp_path / "tests" / "contract"
    below.mkdir(parents=True)
    (below / "test_one.py").write_text(
        '@pytest.mark.parametrize("a", [1])\n@pytest.mark.shows("b", "c")\ndef test_it(a): ...\n'
        '@pytest.mark.shows("b")\ndef not_a_test(): ...\n'
        'class TestMore:\n    @pytest.mark.shows("b")\n    def test_more(self): ...\n'
    )

    one, more = Evidence("tests/contract/test_one.py", "test_it"), Evidence("tests/contract/test_one.py", "test_more")
    assert fault_matrix.shown(tmp_path) == {"b": [one, more], "c": [one]}


def test_what_is_missing_and_what_is_strange_is_told() -> None:
    first, *others = fault_matrix.names()
    test = Evidence("tests/test_x.py", "test_x")

    assert fault_matrix.problems({name: [test] for name in [*others, "rain"]}) == [
        f"no test shows {first!r}",
        "tests/test_x.py: test_x shows 'rain', which is in no catalogue",
    ]


@pytest.mark.parametrize(
    "pattern", sorted({run for group in fault_catalogue.FAULTS.values() for f in group for run in f.runs})
)
def test_crash_runs_that_are_named_are_planned(pattern: str) -> None:
    recorded = {key: [*12 * ["dynamodb.UpdateItem"], "answer"] for key in plan.requests()}

    assert fnmatch.filter(map(str, plan.whole(recorded)), pattern)
