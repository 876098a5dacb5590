"""Compile every module below a directory, but for the docstrings: `bytecode.py DIRECTORY PLACE`.

As `python -m compileall --invalidation-mode unchecked-hash -s DIRECTORY -p PLACE DIRECTORY` does, which has no way to
leave docstrings out and assertions in. They are a twelfth of the layer, and nothing here shows them.
"""

# ruff: noqa: INP001
import ast
import importlib.util
import marshal
import sys
from pathlib import Path

_UNCHECKED_HASH = (0b01).to_bytes(4, "little")
"""The flags of a .pyc that counts whatever becomes of its source (PEP 552)."""


def main(directory: Path, place: Path) -> None:
    """Write a .pyc for each. Raise SyntaxError for one that is no Python."""
    for source in directory.rglob("*.py"):
        text = source.read_bytes()
        code = compile(_bare(ast.parse(text)), place / source.relative_to(directory), "exec", dont_inherit=True)
        compiled = Path(importlib.util.cache_from_source(source))
        compiled.parent.mkdir(exist_ok=True)
        head = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(text)
        compiled.write_bytes(head + marshal.dumps(code))


def _bare(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            while ast.get_docstring(node, clean=False) is not None:
                gone = node.body.pop(0)
                node.body = node.body or [ast.copy_location(ast.Pass(), gone)]
    return tree


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
