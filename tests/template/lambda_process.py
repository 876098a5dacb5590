"""An execution environment of Lambda: runs handlers, and writes to standard output what they and the runtime log.

    python -m tests.template.lambda_process < steps

`steps` is a JSON list of {"handler", "event", "timeout", "at"}. The environment variables are those of the function. A
handler runs at the time `at`, in seconds since the epoch, so that requests don't have to wait.
"""

import json
import sys
import traceback
from importlib import import_module
from typing import Any

import time_machine

from tests.contract.cloudformation.invoker import Context


def log_error(error: Exception) -> None:
    """Log an exception of a handler as the runtime does.

    The JSON of older versions has no `level` (aws-lambda-python-runtime-interface-client, issue 220).
    """
    trace = traceback.format_tb(error.__traceback__)
    entry = {"timestamp": "2026-11-22T08:00:00Z", "log_level": "ERROR", "errorMessage": str(error), "stackTrace": trace}
    sys.stdout.write(json.dumps(entry) + "\n")


def main() -> None:
    """Run the steps."""
    steps: list[dict[str, Any]] = json.load(sys.stdin)
    for step in steps:
        handler = import_module(f"telephony.handlers.{step['handler']}").handler
        with time_machine.travel(step["at"], tick=True):
            try:
                handler(step["event"], Context(step["timeout"]))
            except Exception as error:  # noqa: BLE001 - the runtime logs every exception
                log_error(error)


if __name__ == "__main__":
    main()
