"""A few random histories of a stack; `make faults` plays more, `HISTORIES=500 pytest` on this file still more."""

from __future__ import annotations

import os

import pytest

from tests.faults import random_histories
from tests.faults.crew import Crew

pytestmark = pytest.mark.faults


EXAMPLES = int(os.environ.get("HISTORIES", "6"))


@pytest.mark.timeout(60 + 3 * EXAMPLES)
def test_what_is_held_is_what_cloudformation_has(crew: Crew) -> None:
    random_histories.play(crew, EXAMPLES)
