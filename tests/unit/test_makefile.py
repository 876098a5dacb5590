"""make uses the Python of the machine, and Python 3.13 of uv if the machine has none."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKE, SHELL = shutil.which("make"), shutil.which("sh")
assert MAKE
assert SHELL


def dry_run(directory: Path, *programs: str) -> str:
    """Return what `make setup` would run on a machine with these programs, or its error message."""
    (directory / "bin").mkdir()
    for program in programs:
        path = directory / "bin" / program
        path.write_text(f"#!{SHELL}\nexit 0\n")
        path.chmod(0o755)
    for name in ("Makefile", ".python-version", "uv.lock"):
        shutil.copy(ROOT / name, directory)
    ran = subprocess.run(  # noqa: S603
        [str(MAKE), "--dry-run", f"SHELL={SHELL}", "setup"],
        cwd=directory,
        env={"PATH": str(directory / "bin")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ran.stdout


@pytest.mark.parametrize(
    ("programs", "used"),
    [(("python3",), "python3"), (("python3", "python3.13"), "python3.13")],
)
def test_any_python_installs_uv_and_uv_provides_the_version(
    tmp_path: Path, programs: tuple[str, ...], used: str
) -> None:
    commands = dry_run(tmp_path, *programs).splitlines()

    assert [line for line in commands if line.startswith(f"{used} -m venv .uv && ")]
    synced = [line for line in commands if " sync " in line]
    assert len(synced) == 3
    assert all("--python 3.13 " in line for line in synced)


def test_python_3_13_of_the_machine_is_used_for_all_environments(tmp_path: Path) -> None:
    interpreter = tmp_path / ".uv/bin/python3.13"
    interpreter.parent.mkdir(parents=True)
    interpreter.touch()

    synced = [line for line in dry_run(tmp_path, "python3.13").splitlines() if " sync " in line]
    assert synced
    assert all("--python .uv/bin/python3.13 " in line for line in synced)


def test_machine_without_python_gets_instructions(tmp_path: Path) -> None:
    assert 'test -n ""' in dry_run(tmp_path)
