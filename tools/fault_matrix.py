"""docs/faults.md: each fault of the catalogue, what the provider promises of it, and the tests that show it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from tools.fault_catalogue import CONTRACT_TESTS, FAULTS, Fault
from tools.pages import PageError
from tools.types import ROOT

_MARKER = "pytest.mark.shows"

_HEAD = """# Faults

What can go wrong around this provider, what CloudFormation or Lambda does then, what the provider promises, and the
tests that show it. Faults are made at the wire, by killing the process, or by the clock; the provider is not patched.
This page is generated from `tools/fault_catalogue.py` and the tests' `shows` markers; do not edit it.

"Crash runs" are those of `make faults` with such a name, `type/request/blow/what follows@environment`: a blow before
and after the effect of every outside call of the request. `python -m tests.faults --only PATTERN` plays them.
"""

_CONTRACT_HEAD = """
## CloudFormation's contract tests

CloudFormation tests a registry type by a suite of its own (`cfn test`, in `aws-cloudformation/cloudformation-cli`). A
custom resource is no registry type and cannot run it; this is what each of its tests comes to here, for every type.

| test | here | shown by |
|---|---|---|
"""


@attrs.frozen(order=True)
class Evidence:
    """A test that shows something; `path` is relative to the project."""

    path: str
    name: str


def shown(root: Path) -> dict[str, list[Evidence]]:
    """The tests below tests/ by what their markers say they show."""
    found: dict[str, list[Evidence]] = {}
    for path in sorted(root.glob("tests/**/test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for name in _marked(node):
                    found.setdefault(name, []).append(Evidence(path.relative_to(root).as_posix(), node.name))
    return found


def _marked(function: ast.FunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == _MARKER:
            yield from (str(ast.literal_eval(argument)) for argument in decorator.args)


def names() -> list[str]:
    """Everything that can be shown."""
    faults = [fault.name for group in FAULTS.values() for fault in group]
    return [*faults, *(test.name for test in CONTRACT_TESTS)]


def problems(tests: dict[str, list[Evidence]]) -> list[str]:
    """What nobody shows, and what is shown and stands in no catalogue; a line each."""
    known = names()
    unshown = [f"no test shows {name!r}" for name in known if name not in tests]
    strange = [(test, name) for name in tests if name not in known for test in tests[name]]
    return unshown + [f"{test.path}: {test.name} shows {name!r}, which is in no catalogue" for test, name in strange]


def page() -> str:
    """The whole page. Raise PageError if catalogue and markers do not agree."""
    tests = shown(ROOT)
    wrong = problems(tests)
    if wrong:
        raise PageError("\n".join(wrong))
    parts = [_HEAD]
    for title, group in FAULTS.items():
        parts.append(f"\n## {title}\n\n| fault | what happens then | promise | shown by |\n|---|---|---|---|\n")
        parts += [_row(fault.name, fault.then, fault.promise, _evidence(fault, tests)) for fault in group]
    parts.append(_CONTRACT_HEAD)
    parts += [_row(f"`{test.name}`", test.here, _links(tests[test.name])) for test in CONTRACT_TESTS]
    return "".join(parts)


def _evidence(fault: Fault, tests: dict[str, list[Evidence]]) -> str:
    runs = ", ".join(f"`{run}`" for run in fault.runs)
    return _links(tests[fault.name]) + (f"<br>crash runs {runs}" if runs else "")


def _links(tests: Iterable[Evidence]) -> str:
    return "<br>".join(
        f"[{test.name.removeprefix('test_').replace('_', ' ')}](../{test.path})" for test in sorted(tests)
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"
