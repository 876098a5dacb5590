"""The layer's bytecode: what compileall makes, but for the docstrings."""

import importlib.util
import inspect
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType

import pytest

from layers.dependencies import bytecode

PLAIN = "from __future__ import annotations\n\n\ndef add(one: int, other: int = 1) -> int:\n    return one + other\n"
DOCUMENTED = '''"""A module."""

from __future__ import annotations


class Thing:
    """A class, and nothing but its docstring."""


class Said:
    """Also one whose second statement is a text."""

    "It is not the docstring."
    said = "kept"


def checked(value: int) -> int:
    """A function."""
    assert value > 0, "kept"
    return value


async def waited() -> None:
    """A coroutine."""
'''


def compiled(directory: Path, source: str) -> Path:
    (directory / "sample.py").write_text(source)
    bytecode.main(directory, Path("/opt/python"))
    return directory / "__pycache__" / "sample.cpython-313.pyc"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_docstrings_it_is_what_compileall_makes(tmp_path: Path) -> None:
    made = compiled(tmp_path, PLAIN)
    ours = made.read_bytes()
    made.unlink()
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(tmp_path), "-p", "/opt/python"]
    subprocess.run([sys.executable, "-m", "compileall", *options, str(tmp_path)], check=True)  # noqa: S603
    assert made.read_bytes() == ours


def test_docstrings_go_and_nothing_else(tmp_path: Path) -> None:
    sample = loaded(compiled(tmp_path, DOCUMENTED))
    assert [one.__doc__ for one in (sample, sample.Thing, sample.Said, sample.checked, sample.waited)] == [None] * 5
    assert sample.Said.said == "kept"
    assert sample.checked(1) == 1
    assert inspect.iscoroutinefunction(sample.waited)
    with pytest.raises(AssertionError, match="kept") as raised:
        sample.checked(0)
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    line = DOCUMENTED.splitlines().index('    assert value > 0, "kept"') + 1
    assert (last.filename, last.lineno) == ("/opt/python/sample.py", line)


def test_what_is_no_python_ends_the_build(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError):
        compiled(tmp_path, "def broken(:\n")
