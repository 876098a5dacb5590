"""Checks of the demo."""

from typing import Any


class StepFailed(Exception):
    """A check of a step failed."""

    def __init__(self, expected: Any, actual: Any) -> None:
        super().__init__(f"expected {expected}, actual {actual}")
        self.expected = str(expected)
        self.actual = str(actual)


def expect(name: str, expected: Any, actual: Any) -> None:
    """Raise StepFailed unless both are equal."""
    if actual != expected:
        raise StepFailed(f"{name}: {expected}", f"{name}: {actual}")


def expect_in(name: str, parts: tuple[str, ...], text: str) -> None:
    """Raise StepFailed unless the text contains every part."""
    missing = [part for part in parts if part not in text]
    if missing:
        raise StepFailed(f"{name} that contains {' and '.join(map(repr, missing))}", text)
