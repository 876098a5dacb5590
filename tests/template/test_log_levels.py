"""Lambda keeps every metric, warning and error of the functions, whatever the parameter LogLevel is.

The real handlers run in an execution environment of their own, and a model of Lambda's filter reads what they write.
"""

import json
import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.conftest import SMS, STACK_ID, Harness
from tests.contract.cloudformation import event
from tests.contract.cloudformation.intrinsics import Deployment
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER
from tests.contract.steps import GENERATED_ID, OTHER_STACK, SERVER_ERROR, fault, request_number
from tests.contract.test_sweep import late_purchase, ownership
from tests.template.conftest import ROOT
from tests.template.test_operations import own_metrics

LAMBDA_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
BELOW = {"DEBUG": (), "INFO": (), "WARN": ("INFO",), "ERROR": ("INFO", "WARNING")}
"""The levels of the provider's log entries that each LogLevel removes."""
LOG_LEVELS = tuple(BELOW)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def level_of(line: str) -> str:
    """The level that Lambda assigns to a line of standard output.

    It is INFO without a valid level or a valid timestamp (Lambda Developer Guide, "Log-level filtering").
    The guide lists six levels and not Python's WARNING and CRITICAL, which this model does not accept.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return "INFO"
    valid = isinstance(entry, dict) and _RFC_3339.fullmatch(str(entry.get("timestamp")))
    level = str(entry["level"]).upper() if valid and "level" in entry else ""
    return level if level in LAMBDA_LEVELS else "INFO"


def kept(lines: list[str], application_log_level: str) -> list[str]:
    """The lines that Lambda sends to CloudWatch Logs."""
    lowest = LAMBDA_LEVELS.index(application_log_level)
    return [line for line in lines if LAMBDA_LEVELS.index(level_of(line)) >= lowest]


def logging_config(template: dict[str, Any], log_level: str) -> dict[str, Any]:
    """LoggingConfig of every function. A function overrides its log group only."""
    functions = [one["Properties"] for name, one in template["Resources"].items() if name.endswith("Function")]
    assert {name for function in functions for name in function["LoggingConfig"]} == {"LogGroup"}
    deployment = Deployment(template, {"LogLevel": log_level})
    return dict(deployment.resolve(template["Globals"]["Function"]["LoggingConfig"]))


def written(template: dict[str, Any], log_level: str, steps: list[dict[str, Any]]) -> list[str]:
    """What the functions of a deployment with this LogLevel write to standard output in these steps."""
    variables = Deployment(template, {"LogLevel": log_level}).resolve(template["Globals"]["Function"]["Environment"])
    environment = os.environ | {
        # Lambda sets these two (Lambda Developer Guide, "Log-level filtering").
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": logging_config(template, log_level)["ApplicationLogLevel"],
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'functions'}",
        **{name: value for name, value in variables["Variables"].items() if name.startswith("POWERTOOLS_")},
    }
    program = [sys.executable, "-m", "tests.template.lambda_process"]
    timeouts = {name: one["Properties"].get("Timeout") for name, one in template["Resources"].items()}
    given = json.dumps([step | {"timeout": timeouts[f"{step['handler'].title()}Function"]} for step in steps])
    ran = subprocess.run(program, env=environment, input=given, capture_output=True, text=True, check=False)  # noqa: S603
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def steps_with_every_alarm(harness: Harness) -> list[dict[str, Any]]:
    """Prepare events of all functions that cause every metric of an alarm, and a success and a failure."""
    now = time.time()
    deleted = STACK_ID.replace("/example/", "/deleted/")
    harness.stacks.default = None
    harness.stacks.know(STACK_ID, "UPDATE_COMPLETE")
    harness.stacks.know(deleted, "DELETE_IN_PROGRESS")

    def request(request_type: Any, name: str, stack_id: str = STACK_ID, **fields: Any) -> dict[str, Any]:
        request_id = f"{request_type}-{name}"
        url = harness.sink.url_for(stack_id, name, request_id)
        fields = {"properties": SIMULATOR, "logical_id": name, "stack_id": stack_id} | fields
        kind = SMS_PHONE_NUMBER.type
        return event(request_type, response_url=url, request_id=request_id, resource_type=kind, **fields)

    def step(handler: str, sent: dict[str, Any], after: float = 0) -> dict[str, Any]:
        return {"handler": handler, "event": sent, "at": now + after}

    # The result of two purchases is unknown. The request of one waits, and the other has left a number.
    late_purchase(harness, SMS_PHONE_NUMBER)
    fault(harness, SMS_PHONE_NUMBER.buys, "error", times=999, **SERVER_ERROR)
    with harness.function(continues=False) as function:
        function.invoker.invoke(request("Create", "Waiting", deleted))
        function.invoker.settle()
    harness.telecom.clear_faults()
    [waiting] = harness.queue.messages.values()
    # Numbers of a stack that does not exist, of one that refers to no number, and of none.
    for owner in (OTHER_STACK, STACK_ID, "no/stack"):
        request_number(harness, Tags=ownership(owner))
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", code="Undocumented", status=200)
    return [
        step("provider", request("Create", "Defect")),
        step("provider", request("Create", "Succeeds")),
        step("provider", request("Create", "Fails", properties={})),
        step("provider", request("Create", "Foreign") | {"ResponseURL": "https://example.com/"}),
        step("provider", request("Delete", "Waiting", deleted, physical_id=GENERATED_ID), 100),
        step("continuation", waiting.event(), 300),
        step("sweep", {}, 4000),
        step("guard", {}, 4000),
    ]


@pytest.mark.parametrize("log_level", LOG_LEVELS)
def test_lambda_keeps_every_metric_and_everything_at_or_above_log_level(
    harness: Harness, template: dict[str, Any], log_level: str
) -> None:
    lines = written(template, log_level, steps_with_every_alarm(harness))

    assert kept(lines, logging_config(template, log_level)["ApplicationLogLevel"]) == lines
    entries = [json.loads(line) for line in lines]
    metrics = [entry for entry in entries if "_aws" in entry]
    for name, dimensions in own_metrics(template["Resources"]):
        labels = {"service": "cfn-telephony-provider"} | {
            key: text for key, text in dimensions.items() if key != "service"
        }
        assert [one for one in metrics if name in one and one.items() >= labels.items()], (name, dimensions)
    shown = {entry["level"] for entry in entries if "level" in entry}
    assert shown == {"INFO", "WARNING", "ERROR"} - set(BELOW[log_level])
    assert [entry for entry in entries if entry.get("log_level") == "ERROR"], "the runtime's own error"


def test_every_allowed_log_level_keeps_lines_without_level(template: dict[str, Any]) -> None:
    assert tuple(template["Parameters"]["LogLevel"]["AllowedValues"]) == LOG_LEVELS
    for log_level in LOG_LEVELS:
        expected = {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG" if log_level == "DEBUG" else "INFO"}
        assert logging_config(template, log_level) == expected, log_level


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ('{"level": "debug", "timestamp": "2024-11-02T16:51:31.587199Z"}', "DEBUG"),
        ('{"level": "ERROR", "timestamp": "2024-11-02T16:51:31+00:00"}', "ERROR"),
        ('{"level": "ERROR", "timestamp": "2024-11-02 16:51:31,587+0000"}', "INFO"),
        ('{"level": "ERROR"}', "INFO"),
        ('{"level": "loud", "timestamp": "2024-11-02T16:51:31Z"}', "INFO"),
        ('{"log_level": "ERROR", "timestamp": "2024-11-02T16:51:31Z"}', "INFO"),
        ("[]", "INFO"),
        ("no JSON", "INFO"),
    ],
)
def test_model_of_the_filter_assigns_documented_levels(line: str, level: str) -> None:
    assert level_of(line) == level
