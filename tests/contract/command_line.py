"""Runs the command `telephony` in this process, with the environment of a shell."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import attrs
import pytest

from telephony.settings import settings
from telephony_cli.app import main
from tests.conftest import Harness

PROVIDER_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/cfn-telephony/0e6f6c20-cd98-11f0-8f5a-0e2a1b2c3d4e"


@attrs.frozen
class Result:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON that the command wrote."""
        return json.loads(self.out)


Telephony = Callable[..., Result]


@contextmanager
def _shell() -> Iterator[None]:
    """Undo what a command changes in the environment."""
    try:
        with patch.dict(os.environ):
            yield
    finally:
        settings.cache_clear()


@pytest.fixture
def telephony(harness: Harness, capsys: pytest.CaptureFixture[str]) -> Telephony:
    """Run a command beside a provider that is deployed as the stack `cfn-telephony`."""
    harness.stacks.default = None
    provider = harness.stacks.know(PROVIDER_ID)
    provider.outputs = {"StateTableName": harness.table}
    provider.parameters = {"RecoveryWindowInDays": "0", "AllowAdoption": "false"}

    def run(*arguments: str) -> Result:
        harness.invoker.settle()  # The provider writes its metrics to the standard output.
        capsys.readouterr()
        with _shell():
            code = main([*arguments])
        written = capsys.readouterr()
        return Result(code, written.out, written.err)

    return run
