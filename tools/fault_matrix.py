"""Generates docs/faults.md: each fault of the catalogue, the provider's guarantee, and the tests that verify it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import attrs

from tools.fault_catalogue import CONTRACT_TESTS, FAULTS, LIMITS, Fault
from tools.pages import PageError
from tools.types import ROOT

_MARKER = "pytest.mark.shows"

_HEAD = """# Faults

What can fail around the provider, what CloudFormation, Lambda or the service then does, what the provider guarantees,
and the tests that verify it. The tests inject faults on the network, by killing the process, or with the clock; they do
not patch the provider. This page is generated from `tools/fault_catalogue.py` and the tests' `shows` markers.

Scenarios are patterns of the names `declaration/request/fault/follow-up@behavior`, which `tests/faults/__init__.py`
explains. `make faults` runs all of them and injects faults before and after the effect of every outside call.
`python -m tests.faults --only PATTERN` runs those that match.
"""

_LIMITS_HEAD = """
## What is not guaranteed

| situation | consequence |
|---|---|
"""

_CONTRACT_HEAD = """
## CloudFormation's contract tests

CloudFormation verifies registry types with contract tests (`cfn test`, in `aws-cloudformation/cloudformation-cli`). A
custom resource cannot run them. This table shows the equivalent behavior of every type of this provider.

| contract test | behavior of the provider | verified by |
|---|---|---|
"""


@attrs.frozen(order=True)
class Evidence:
    """A test that verifies something; `path` is relative to the project."""

    path: str
    name: str


def evidence(root: Path) -> dict[str, list[Evidence]]:
    """Return the tests below tests/ by the faults that their markers name."""
    found: dict[str, list[Evidence]] = {}
    for path in sorted(root.glob("tests/**/test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == _MARKER:
                    for fault in map(ast.literal_eval, decorator.args):
                        found.setdefault(fault, []).append(Evidence(path.relative_to(root).as_posix(), node.name))
    return found


def names() -> list[str]:
    """Return all names that markers may use."""
    return [name for group in FAULTS.values() for name in group] + list(CONTRACT_TESTS)


def problems(tests: dict[str, list[Evidence]]) -> list[str]:
    """Return a line for each fault without a test and each marker without a fault."""
    known = names()
    return [f"no test shows {name!r}" for name in known if name not in tests] + [
        f"{test.path}: {test.name} shows {name!r}, which is not in the catalogue"
        for name in tests
        if name not in known
        for test in tests[name]
    ]


def page() -> str:
    """Return the page. Raises PageError if catalogue and markers do not match."""
    tests = evidence(ROOT)
    if wrong := problems(tests):
        raise PageError("\n".join(wrong))
    parts = [_HEAD]
    for title, group in FAULTS.items():
        parts.append(f"\n## {title}\n\n| fault | what happens | guarantee | verified by |\n|---|---|---|---|\n")
        parts += [
            _row(name, fault.effect, fault.guarantee, _verified_by(fault, tests[name])) for name, fault in group.items()
        ]
    parts += [_LIMITS_HEAD, *(_row(situation, consequence) for situation, consequence in LIMITS.items())]
    parts.append(_CONTRACT_HEAD)
    parts += [_row(f"`{name}`", behavior, _links(tests[name])) for name, behavior in CONTRACT_TESTS.items()]
    return "".join(parts)


def _verified_by(fault: Fault, tests: Iterable[Evidence]) -> str:
    scenarios = ", ".join(f"`{pattern}`" for pattern in fault.scenarios)
    return _links(tests) + (f"<br>scenarios {scenarios}" if scenarios else "")


def _links(tests: Iterable[Evidence]) -> str:
    return "<br>".join(f"[{test.name[5:].replace('_', ' ')}](../{test.path})" for test in sorted(tests))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"
