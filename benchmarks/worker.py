"""Plays Lambda's runtime for one handler: `worker.py HANDLER EVENTS RESULTS [record-sleep] [count-compiled]`.

EVENTS and RESULTS are file descriptors. Each line that comes is an event; each line that goes says what became of it.
It imports nothing that every handler does not import, so that what is counted is the handler's.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Context:
    """What a function is told of its invocation."""

    aws_request_id = "6f1d8c2a-5b0e-4c3f-9a7d-2e4b6c8d0f1a"
    function_name = "bench"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    log_group_name = "/aws/lambda/bench"
    log_stream_name = "2026/01/01/[$LATEST]0123456789abcdef"
    memory_limit_in_mb = "256"

    def __init__(self) -> None:
        self._ends = time.time() + 600

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds that are left."""
        return int((self._ends - time.time()) * 1000)


def main() -> None:
    """Serve events until there are no more."""
    name, events, results, *more = sys.argv[1:]
    slept = [0.0]
    if "record-sleep" in more:
        time.sleep = lambda seconds: slept.__setitem__(0, slept[0] + float(seconds))
    compiled = [0]
    if "count-compiled" in more:
        # importlib compiles a file only if there is no bytecode that counts.
        def count(event: str, details: tuple[Any, ...]) -> None:
            compiled[0] += event == "compile" and str(details[1]).endswith(".py")

        sys.addaudithook(count)
    module, _, function = name.rpartition(".")
    handler = getattr(importlib.import_module(module), function)
    with os.fdopen(int(events)) as lines, os.fdopen(int(results), "w", buffering=1) as answers:
        for line in lines:
            event, slept[0], error = json.loads(line), 0.0, ""
            begun = time.perf_counter()
            try:
                handler(event, Context())
            except Exception:  # noqa: BLE001 - Lambda's runtime catches all, too
                error = traceback.format_exc()
            seconds = time.perf_counter() - begun
            result = {"seconds": seconds, "slept": slept[0], "compiled": compiled[0], "error": error}
            answers.write(json.dumps(result) + "\n")
    # A container is frozen and thrown away: nothing in it is ever torn down.
    os._exit(0)


main()
