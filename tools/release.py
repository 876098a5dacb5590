"""Releases the version of pyproject.toml: its changelog section, a commit and a tag.

    python -m tools.release                   show what would be done
    python -m tools.release --confirm         do it; nothing is pushed
    python -m tools.release --notes v0.1.0    print the changelog section of a tag
    python -m tools.release --version         print the version

The tag starts .github/workflows/release.yml.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHANGELOG = ROOT / "CHANGELOG.md"
UNRELEASED = " - unreleased\n"
"""The end of the heading of a version that is not released."""


class GitError(Exception):
    """What git refused, and why."""


def git(*arguments: str) -> str:
    """Run git and return its output. Raises GitError."""
    ran = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603, S607
    if ran.returncode:
        raise GitError(f"git {arguments[0]} failed: {ran.stderr.strip()}")
    return ran.stdout


def project_version() -> str:
    """Return the version in pyproject.toml."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def sections(changelog: str) -> dict[str, str]:
    """Return the sections of the changelog by version."""
    found = re.findall(r"^## (\S+).*\n((?:(?!## ).*\n)*)", changelog, re.MULTILINE)
    return {version: text.strip() for version, text in found}


def dated(changelog: str, version: str) -> str:
    """Return the changelog with today's date in the heading of this version."""
    return changelog.replace(f"## {version}{UNRELEASED}", f"## {version} - {datetime.now(UTC):%Y-%m-%d}\n", 1)


def problems(version: str) -> list[str]:
    """Return what prevents a release of this version."""
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    in_template = "".join(re.findall(r"^    SemanticVersion: (.+)$", template, re.MULTILINE))
    changelog = CHANGELOG.read_text(encoding="utf-8")
    checks = {
        f"SemanticVersion in template.yaml is {in_template}, the version in pyproject.toml is {version}.": (
            in_template != version
        ),
        f"CHANGELOG.md has no heading `{version}{UNRELEASED.rstrip()}`. If the version is released, raise it.": (
            f"## {version}{UNRELEASED}" not in changelog
        ),
        f"CHANGELOG.md has nothing under {version}.": not sections(changelog).get(version),
        f"The tag v{version} exists.": bool(git("tag", "--list", f"v{version}")),
        "There are changes that are not committed.": bool(git("status", "--porcelain")),
    }
    return [problem for problem, exists in checks.items() if exists]


def release(version: str, *, confirm: bool) -> list[str]:
    """Print the release of this version or, with confirm, make it. Returns what prevents it."""
    tag = f"v{version}"
    before = CHANGELOG.read_text(encoding="utf-8")
    changelog = dated(before, version)
    print(f"Version {version}: commit CHANGELOG.md, tag {tag}.\n\n{sections(changelog).get(version, '')}\n")
    found = problems(version)
    if confirm and not found:
        CHANGELOG.write_text(changelog, encoding="utf-8")
        try:
            git("commit", "--quiet", "--message", f"Release {version}", "CHANGELOG.md")
        except GitError:
            CHANGELOG.write_text(before, encoding="utf-8")
            raise
        git("tag", "--annotate", "--message", f"Release {version}", tag)
        print(f"Released. To publish it: git push origin HEAD {tag}")
    elif not found:
        print("Nothing was changed. To release: make release CONFIRM=1")
    return found


def notes(version: str, tag: str) -> list[str]:
    """Print the changelog section of a tag. Returns why there is none."""
    text = sections(CHANGELOG.read_text(encoding="utf-8")).get(version)
    if tag != f"v{version}" or not text:
        return [f"The tag is {tag}; pyproject.toml and CHANGELOG.md have no such version."]
    print(text)
    return []


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--confirm", action="store_true")
    parser.add_argument("--notes", metavar="TAG")
    parser.add_argument("--version", action="store_true")
    arguments = parser.parse_args()
    version = project_version()
    if arguments.version:
        print(version)
        return
    try:
        found = notes(version, arguments.notes) if arguments.notes else release(version, confirm=arguments.confirm)
    except GitError as error:
        found = [str(error)]
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
