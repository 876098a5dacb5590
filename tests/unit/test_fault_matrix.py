"""Every fault of the catalogue has a test, and every resource type has fault scenarios."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

from telephony import resources
from tests.faults import declarations, plan
from tools import fault_catalogue, fault_matrix
from tools.fault_matrix import Evidence
from tools.types import ROOT


def test_every_fault_has_a_test_and_every_marker_names_a_fault() -> None:
    assert fault_matrix.problems(fault_matrix.evidence(ROOT)) == []


def test_fault_names_are_unique() -> None:
    names = fault_matrix.names()

    assert len(names) == len(set(names))


def test_markers_of_all_test_functions_are_read(tmp_path: Path) -> None:
    below = tmp_path / "tests" / "contract"
    below.mkdir(parents=True)
    (below / "test_one.py").write_text(
        '@pytest.mark.parametrize("a", [1])\n@pytest.mark.shows("b", "c")\ndef test_it(a): ...\n'
        '@pytest.mark.shows("b")\ndef not_a_test(): ...\n'
        'class TestMore:\n    @pytest.mark.shows("b")\n    def test_more(self): ...\n'
    )

    one, more = Evidence("tests/contract/test_one.py", "test_it"), Evidence("tests/contract/test_one.py", "test_more")
    assert fault_matrix.evidence(tmp_path) == {"b": [one, more], "c": [one]}


def test_missing_tests_and_unknown_markers_are_reported() -> None:
    first, *others = fault_matrix.names()
    test = Evidence("tests/test_x.py", "test_x")

    missing, unknown = fault_matrix.problems({name: [test] for name in [*others, "rain"]})
    assert first in missing
    assert test.path in unknown
    assert test.name in unknown
    assert "rain" in unknown


@pytest.mark.parametrize(
    "pattern",
    sorted({pattern for group in fault_catalogue.FAULTS.values() for f in group.values() for pattern in f.scenarios}),
)
def test_scenarios_of_the_catalogue_are_planned(pattern: str) -> None:
    recordings = {key: 2 * [[*12 * ["dynamodb.UpdateItem"], "sqs.SendMessage", "response"]] for key in plan.requests()}

    assert fnmatch.filter(map(str, plan.full(recordings)), pattern)


def test_every_resource_type_has_fault_scenarios_with_a_replacement() -> None:
    replaced = (variant for variant, request, _ in plan.requests() if request == "replace")
    planned = {declarations.VARIANTS[variant].type_name for variant in replaced}

    missing = set(resources.type_names()) - planned
    assert not missing, f"declare a change that needs a replacement in tests/faults/declarations.py: {sorted(missing)}"
