"""Writes what follows from the code: schemas/, events/, docs/errors.md, docs/faults.md, and blocks of docs/.

    python -m tools.generate            write what is stale
    python -m tools.generate --check    name what is stale, and exit with 1 if anything is

What only a person can write (a page's prose, an example) is named too when it is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tools import error_reference, events, fault_matrix, pages, schema
from tools.types import ROOT, Described, every_type

_PROBLEMS = (pages.PageError, events.ExampleError)


def outputs(described: Described) -> dict[Path, Callable[[], str]]:
    """What is generated of a type: each file, and what gives its text or raises for what is missing."""
    of_events: dict[Path, Callable[[], str]] = {
        described.event_path(request_type): lambda request_type=request_type: events.written(described, request_type)  # type: ignore[misc]
        for request_type in events.REQUEST_TYPES
    }
    return {
        described.schema_path: lambda: schema.written(described),
        **of_events,
        described.page_path: lambda: pages.written(described),
    }


def run(*, check: bool) -> list[str]:
    """Write what is stale, or only look; give the problems that remain, a line each."""
    wanted: dict[Path, Callable[[], str]] = {
        ROOT / "docs" / "README.md": pages.index,
        ROOT / "docs" / "errors.md": error_reference.page,
        ROOT / "docs" / "faults.md": fault_matrix.page,
    }
    for described in every_type():
        wanted |= outputs(described)
    problems = []
    for path, text in wanted.items():
        try:
            current = text()
        except _PROBLEMS as problem:
            problems.append(str(problem))
            continue
        if path.is_file() and path.read_text(encoding="utf-8") == current:
            continue
        if check:
            problems.append(f"{path.relative_to(ROOT)} is stale: run `make generate`")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(current, encoding="utf-8")
    for left in sorted({*ROOT.glob("schemas/*.json"), *ROOT.glob("events/*.json")} - wanted.keys()):
        if check:
            problems.append(f"{left.relative_to(ROOT)} belongs to no type: run `make generate`")
        else:
            left.unlink()
    return list(dict.fromkeys(problems))


def main() -> int:
    """0 if everything is current, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if anything is stale")
    problems = run(check=parser.parse_args().check)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
