"""What was expected, and what came."""

from typing import Any


class Unmet(Exception):
    """Something did not hold."""

    def __init__(self, expected: Any, seen: Any) -> None:
        super().__init__(f"expected {expected}, came {seen}")
        self.expected = str(expected)
        self.seen = str(seen)


def expect(what: str, expected: Any, seen: Any) -> None:
    """Raise Unmet unless both are equal."""
    if seen != expected:
        raise Unmet(f"{what}: {expected}", f"{what}: {seen}")


def expect_in(what: str, parts: tuple[str, ...], text: str) -> None:
    """Raise Unmet unless the text has every part in it."""
    missing = [part for part in parts if part not in text]
    if missing:
        raise Unmet(f"{what} with {' and '.join(map(repr, missing))} in it", text)
