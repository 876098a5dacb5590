"""Stands in for the Lambda runtime: `worker.py HANDLER RECORD_SLEEP EVENTS RESULTS`.

EVENTS and RESULTS are file descriptors. The worker reads one event per line and writes one result per line.
It imports only modules that every handler imports, so that the measurement covers the handler alone.
"""

import importlib
import json
import os
import sys
import time
import traceback


class Context:
    """The Lambda context object."""

    aws_request_id = "6f1d8c2a-5b0e-4c3f-9a7d-2e4b6c8d0f1a"
    function_name = "bench"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    log_group_name = "/aws/lambda/bench"
    log_stream_name = "2026/01/01/[$LATEST]0123456789abcdef"
    memory_limit_in_mb = "256"

    def __init__(self) -> None:
        self._deadline = time.time() + 600

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function times out."""
        return int((self._deadline - time.time()) * 1000)


def main() -> None:
    """Process events until the pipe is closed."""
    name, record_sleep, events, results = sys.argv[1:]
    slept = 0.0

    def record(seconds: float) -> None:
        nonlocal slept
        slept += seconds

    if record_sleep == "1":
        time.sleep = record  # type: ignore[assignment]
    module, _, function = name.rpartition(".")
    handler = getattr(importlib.import_module(module), function)
    with os.fdopen(int(events)) as lines, os.fdopen(int(results), "w", buffering=1) as output:
        for line in lines:
            event, slept, error = json.loads(line), 0.0, ""
            started = time.perf_counter()
            try:
                handler(event, Context())
            except Exception:  # noqa: BLE001 - Lambda's runtime also catches every exception
                error = traceback.format_exc()
            result = {"seconds": time.perf_counter() - started, "slept": slept, "error": error}
            output.write(json.dumps(result) + "\n")
    # Lambda freezes and discards an execution environment without interpreter shutdown.
    os._exit(0)


main()
