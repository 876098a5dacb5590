"""Workflows, versions and the files of the repository agree with each other and with their schemas."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "examples" / "pipelines"
WORKFLOWS = sorted([*ROOT.glob(".github/workflows/*.yml"), *PIPELINES.glob("*.yml")])
STAGE = PIPELINES / "github-actions-stage.yml"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
MAKEFILE = (ROOT / "Makefile").read_text()


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def tool(name: str, *arguments: str | Path) -> str:
    """Run a tool of the development environment and return its output, which is empty if it found nothing."""
    result = run(Path(sys.executable).with_name(name), *arguments)
    return result.stdout + result.stderr if result.returncode else ""


def workflow(path: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506  # BaseLoader keeps `on`
    return parsed


def test_workflows_have_no_security_findings() -> None:
    assert tool("zizmor", "--offline", "--strict-collection", "--no-progress", ROOT, *PIPELINES.glob("*.yml")) == ""


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/[!c]*.yml"))),
        ("github-issue-config", [ROOT / ".github/ISSUE_TEMPLATE/config.yml"]),
        ("dependabot", [ROOT / ".github/dependabot.yml"]),
    ],
)
def test_files_match_schema_of_github(schema: str, files: list[Path]) -> None:
    assert files
    assert tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files) == ""


def test_actions_are_pinned_by_commit_hash_with_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in WORKFLOWS:
        for action, pin in re.findall(r"\buses: ([\w./$-]+)(.*)", path.read_text()):
            if action.startswith("$/"):  # the same commit of this repository
                continue
            assert re.fullmatch(r"@[0-9a-f]{40}  # v\d+\.\d+\.\d+", pin), f"{path.name}: {action}{pin}"
            pins.setdefault(action, set()).add(pin)

    assert pins
    assert {action: pin for action, pin in pins.items() if len(pin) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_jobs_have_only_the_permissions_that_they_declare(path: Path) -> None:
    parsed = workflow(path)

    assert parsed["permissions"] == {}
    assert all("permissions" in job for job in parsed["jobs"].values())


def test_workflows_use_the_uv_of_the_makefile() -> None:
    version = re.search(r"^UV_VERSION = (.+)$", MAKEFILE, re.MULTILINE)

    assert version
    assert {
        step["with"]["version"]
        for path in WORKFLOWS
        for job in workflow(path)["jobs"].values()
        for step in job.get("steps", [])
        if step.get("uses", "").startswith("astral-sh/setup-uv@")
    } == {version[1]}


def test_version_and_repository_agree_everywhere() -> None:
    application = re.search(r"AWS::ServerlessRepo::Application:\n((?: {4}.*\n)+)", (ROOT / "template.yaml").read_text())
    assert application
    metadata = yaml.safe_load(application[1])
    wheel = f"{REPOSITORY}/releases/download/v{VERSION}/cfn_telephony-{VERSION}-py3-none-any.whl"

    assert metadata["SemanticVersion"] == VERSION
    assert metadata["SourceCodeUrl"] == metadata["HomePageUrl"] == REPOSITORY
    assert {path.name for path in PIPELINES.glob("*.yml") if workflow(path)["env"]["TELEPHONY"] != wheel} == set()


def test_hooks_run_the_commands_of_make_check() -> None:
    recipe = re.search(r"^check:.*\n((?:\t.+\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe
    checks = re.split(r"\s&&\s|\n\t", recipe[1].strip().replace("$(MAKE)", "make"))
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"].removeprefix("env ") for hook in configuration["repos"][0]["hooks"]]

    assert hooks == checks


def test_role_of_the_pipeline_passes_lint() -> None:
    assert tool("cfn-lint", "--template", PIPELINES / "github-actions-role.yaml") == ""


def step(job: str, identifier: str) -> str:
    """Return the script of a step of the pipeline."""
    steps = workflow(STAGE)["jobs"][job]["steps"]
    return str(next(step["run"] for step in steps if step.get("id", step.get("name")) == identifier))


def outputs(directory: Path, script: str, commands: dict[str, str]) -> tuple[int, str]:
    """Run a script as GitHub does, with these commands. Returns the exit code and the text in GITHUB_OUTPUT."""
    for name, body in commands.items():
        (directory / name).write_text(f"#!/bin/bash\n{body}\n")
        (directory / name).chmod(0o755)
    written = directory / "output"
    written.touch()
    result = run(
        *("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script),
        cwd=directory,
        PATH=f"{directory}:{os.environ['PATH']}",
        GITHUB_OUTPUT=str(written),
        GITHUB_STEP_SUMMARY=str(directory / "summary"),
        STAGE="prod",
        STACK_NAME="lines-prod",
        TEMPLATE="template.yaml",
        TELEPHONY="a wheel",
        CHANGE_SET="arn:aws:cloudformation:eu-west-1:111122223333:changeSet/a/1",
    )
    return result.returncode, written.read_text()


@pytest.mark.parametrize(
    ("plan", "code", "output"),
    [
        (0, 0, "environment=prod\n"),
        (3, 0, "environment=prod-release\n"),  # --fail-on: a number would be lost
        (1, 1, ""),
    ],
)
def test_pipeline_asks_for_approval_if_a_number_would_be_lost(
    tmp_path: Path, plan: int, code: int, output: str
) -> None:
    assert outputs(tmp_path, step("plan", "plan"), {"uvx": f"echo a table; exit {plan}"}) == (code, output)
    assert "a table" in (tmp_path / "summary").read_text()


CREATED = """\
cat <<'TEXT'

Waiting for changeset to be created..
Changeset created successfully. Run the following command to review changes:
aws cloudformation describe-change-set --change-set-name arn:aws:cloudformation:eu-west-1:1:changeSet/a/1
TEXT"""


@pytest.mark.parametrize(
    ("aws", "code", "output"),
    [
        (CREATED, 0, "arn=arn:aws:cloudformation:eu-west-1:1:changeSet/a/1\n"),
        ("printf '\\nNo changes to deploy. Stack lines-prod is up to date\\n'", 0, ""),
        ("echo 'Another text of a later version'", 1, ""),
        ("echo 'Failed to create the changeset'; exit 254", 254, ""),
    ],
)
def test_pipeline_passes_its_change_set_on(tmp_path: Path, aws: str, code: int, output: str) -> None:
    assert outputs(tmp_path, step("plan", "change-set"), {"aws": aws}) == (code, output)


@pytest.mark.parametrize(
    ("status", "waiter"),
    [("REVIEW_IN_PROGRESS", "stack-create-complete"), ("UPDATE_COMPLETE", "stack-update-complete")],
)
def test_pipeline_waits_for_its_operation(tmp_path: Path, status: str, waiter: str) -> None:
    aws = f'echo "$2 $3" >> calls; [ "$2" != describe-stacks ] || echo {status}'

    assert outputs(tmp_path, step("deploy", "Execute the change set"), {"aws": aws}) == (0, "")
    assert (tmp_path / "calls").read_text().splitlines()[1:] == [
        "execute-change-set --change-set-name",
        f"wait {waiter}",
    ]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the files that a release reads."""
    (tmp_path / "tools").mkdir()
    for name in ("pyproject.toml", "template.yaml", "tools/__init__.py", "tools/release.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {VERSION} - unreleased\n\n### Added\n\n- All of it.\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "user.name", "Maintainer")
    git(tmp_path, "config", "user.email", "maintainer@example.com")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    return tmp_path


def git(directory: Path, *arguments: str) -> str:
    result = run("git", *arguments, cwd=directory)
    assert result.returncode == 0, result.stderr
    return result.stdout


def release(directory: Path, *arguments: str) -> tuple[int, str]:
    result = run(sys.executable, "-m", "tools.release", *arguments, cwd=directory, PYTHONDONTWRITEBYTECODE="1")
    return result.returncode, result.stdout + result.stderr


def test_release_shows_its_notes_and_changes_nothing(clone: Path) -> None:
    code, output = release(clone)

    assert code == 0
    assert f"tag v{VERSION}" in output
    assert "- All of it." in output
    assert git(clone, "status", "--porcelain") == git(clone, "tag") == ""


def test_confirmed_release_dates_the_changelog_and_tags_the_commit(clone: Path) -> None:
    assert release(clone, "--confirm")[0] == 0

    [heading] = re.findall(r"^## .*$", (clone / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert re.fullmatch(rf"## {re.escape(VERSION)} - \d{{4}}-\d\d-\d\d", heading)
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "describe", "--exact-match").strip() == f"v{VERSION}"
    assert release(clone, "--notes", f"v{VERSION}") == (0, "### Added\n\n- All of it.\n")


def test_release_notes_of_another_tag_are_refused(clone: Path) -> None:
    release(clone, "--confirm")

    assert release(clone, "--notes", "v99.0.0")[0] == 1


@pytest.mark.parametrize("file", ["template.yaml", "CHANGELOG.md"])
def test_release_is_refused_if_versions_differ_or_changes_are_missing(clone: Path, file: str) -> None:
    text = (clone / file).read_text().replace(f"SemanticVersion: {VERSION}", "SemanticVersion: 99.0.0")
    (clone / file).write_text(text.replace("### Added\n\n- All of it.\n", ""))
    git(clone, "commit", "--quiet", "--all", "--message", "Second")

    assert release(clone, "--confirm")[0] == 1
    assert git(clone, "tag") == ""


def test_release_that_git_refuses_changes_nothing(clone: Path) -> None:
    (clone / ".git/hooks/pre-commit").write_text("#!/bin/sh\necho refused by a hook >&2\nexit 1\n")
    (clone / ".git/hooks/pre-commit").chmod(0o755)

    code, output = release(clone, "--confirm")

    assert (code, "refused by a hook" in output, "Traceback" in output) == (1, True, False)
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""


def test_release_is_made_once_and_from_committed_files(clone: Path) -> None:
    (clone / "new").touch()
    assert release(clone, "--confirm")[0] == 1
    (clone / "new").unlink()

    assert [release(clone, "--confirm")[0] for _ in range(2)] == [0, 1]
