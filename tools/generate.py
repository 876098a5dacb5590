"""Generates schemas/, events/, docs/errors.md, docs/faults.md, and blocks of README.md and docs/ from the code.

    python -m tools.generate            write every file that is stale
    python -m tools.generate --check    list every file that is stale, and exit with 1 if there is one

Also lists what must be written by hand and is missing: the prose of a page, an example.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools import error_reference, events, fault_matrix, pages, schema
from tools.types import ROOT, Described, GenerationError, every_type


def outputs(described: Described) -> dict[Path, Callable[[], str]]:
    """Return the generated files of a type, each with the function that returns its text or raises GenerationError."""
    return {
        described.schema_path: partial(schema.render, described),
        described.page_path: partial(pages.render, described),
        **{
            described.event_path(request): partial(events.render, described, request)
            for request in events.REQUEST_TYPES
        },
    }


def run(*, check: bool) -> list[str]:
    """Write or, with check, list the stale files. Returns the remaining problems, one per line."""
    wanted: dict[Path, Callable[[], str]] = {
        **{path: partial(pages.render_index, path) for path in (ROOT / "README.md", ROOT / "docs" / "README.md")},
        ROOT / "docs" / "errors.md": error_reference.page,
        ROOT / "docs" / "faults.md": fault_matrix.page,
    }
    for described in every_type():
        wanted |= outputs(described)
    problems = []
    for path, text in wanted.items():
        try:
            current = text()
        except GenerationError as problem:
            problems.append(str(problem))
            continue
        if path.is_file() and path.read_text(encoding="utf-8") == current:
            continue
        if check:
            problems.append(f"{path.relative_to(ROOT)} is stale: run `make generate`")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(current, encoding="utf-8")
    for path in sorted({*ROOT.glob("schemas/*.json"), *ROOT.glob("events/*.json")} - wanted.keys()):
        if check:
            problems.append(f"{path.relative_to(ROOT)} belongs to no type: run `make generate`")
        else:
            path.unlink()
    return list(dict.fromkeys(problems))


def main() -> int:
    """Run from the command line. Returns 1 if problems remain."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is stale")
    problems = run(check=parser.parse_args().check)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
