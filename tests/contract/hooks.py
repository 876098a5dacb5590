"""Invokes the release guard as CloudFormation invokes a Lambda Hook: for change sets, updates and deletions of stacks.

Source: CloudFormation Hooks User Guide, "Create a Lambda function for Hooks": the request, the payload behind a signed
URL, and the answer. It does not say whether custom resources are in a payload: `lists_custom_resources`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import attrs
import pytest

from telephony.handlers import guard as function
from telephony.settings import settings
from tests.conftest import Harness, create_clients
from tests.contract.cloudformation import Stack
from tests.contract.cloudformation.invoker import Context

ACTIONS = {"Add": "CREATE", "Modify": "UPDATE", "Remove": "DELETE"}


@attrs.frozen
class Answer:
    """The answer of the guard."""

    failed: bool
    message: str


@attrs.define
class Guard:
    """Calls the Hook for operations on stacks."""

    harness: Harness
    lists_custom_resources: bool = True
    seconds: float = 25
    """The timeout of the function."""

    def change_set(self, stack: Stack, template: Mapping[str, Any], *, text: str = "", **more: Any) -> Answer:
        """A change set of this template is created. text: the template as it was written."""
        name = stack.change_set(f"c{uuid4().hex[:8]}", template, **more)
        changes = [each["ResourceChange"] for each in stack.known.change_sets[name]["Changes"]]
        listed = [_changed(each) for each in changes if self.lists_custom_resources]
        payload = {"template": text or json.dumps(template), "changedResources": listed}
        arn = stack.known.change_set_id(name)
        return self.invoke("CHANGE_SET", "CREATE", stack.stack_id, arn, payload, change_set_id=arn)

    def execute(self, stack: Stack, template: Mapping[str, Any]) -> Answer:
        """A change set is executed."""
        name = stack.change_set(f"c{uuid4().hex[:8]}", template)
        payload = {"template": json.dumps(template), "previousTemplate": stack.known.template}
        arn = stack.known.change_set_id(name)
        return self.invoke("STACK", "UPDATE", stack.stack_id, stack.name, payload, change_set_id=arn)

    def update(self, stack: Stack, template: Mapping[str, Any] | str) -> Answer:
        """A stack is updated without a change set. The payload has no parameters."""
        text = template if isinstance(template, str) else json.dumps(template)
        payload = {"template": text, "previousTemplate": stack.known.template}
        return self.invoke("STACK", "UPDATE", stack.stack_id, stack.name, payload)

    def delete(self, stack: Stack) -> Answer:
        """A stack is deleted. The payload is empty."""
        payload = {"template": None, "previousTemplate": None}
        return self.invoke("STACK", "DELETE", stack.stack_id, stack.name, payload)

    def invoke(
        self, target: str, action: str, stack_id: str, name: str, payload: Any, *, change_set_id: str = ""
    ) -> Answer:
        """Invoke the function, and check the form of its answer."""
        url = self.harness.sink.publish(json.dumps(payload).encode())
        return self.send(request(target, action, stack_id, name, url, change_set_id=change_set_id))

    def send(self, event: dict[str, Any]) -> Answer:
        self.harness.invoker.settle()
        with _environment():
            answer = function.handler(event, Context(self.seconds))  # type: ignore[arg-type]
        status, error = answer["hookStatus"], answer.get("errorCode")
        assert (status, error) in {("SUCCESS", None), ("FAILED", "NonCompliant")}
        assert answer["clientRequestToken"] == event["clientRequestToken"]
        assert 0 < len(answer["message"]) <= 4096
        return Answer(status == "FAILED", answer["message"])


def request(target: str, action: str, stack_id: str, name: str, url: str, *, change_set_id: str = "") -> dict[str, Any]:
    """Return the event of one invocation."""
    return {
        "clientRequestToken": str(uuid4()),
        "awsAccountId": stack_id.split(":")[4],
        "stackId": stack_id,
        "changeSetId": change_set_id,
        "hookTypeName": "CfnTelephony::Release::Guard",
        "hookTypeVersion": "00000001",
        "hookModel": {"LambdaFunction": "arn:aws:lambda:us-east-1:123456789012:function:cfn-telephony-provider-guard"},
        "actionInvocationPoint": f"{action}_PRE_PROVISION",
        "requestData": {"targetName": target, "targetType": target, "targetLogicalId": name, "payload": url},
        "requestContext": {"invocation": 1, "callbackContext": None},
    }


def _changed(change: Mapping[str, Any]) -> dict[str, Any]:
    """A change as the payload shows it: without physical ID and policies."""
    contexts = {
        name.lower()[0] + name[1:]: json.dumps({"Properties": json.loads(change[name])["Properties"]})
        if name in change
        else None
        for name in ("BeforeContext", "AfterContext")
    }
    return {
        "logicalResourceId": change["LogicalResourceId"],
        "resourceType": change["ResourceType"],
        "action": ACTIONS[change["Action"]],
        "lineNumber": 3,
        **contexts,
    }


@contextmanager
def _environment() -> Iterator[None]:
    """The environment of the function, whose clients repeat calls: those of the provider don't."""
    try:
        with patch.dict(os.environ, {"CALL_RATES": "*=0", "CALL_ATTEMPTS": "3"}):
            settings.cache_clear()
            create_clients()
            yield
    finally:
        settings.cache_clear()
        create_clients()


@pytest.fixture
def guard(harness: Harness) -> Iterator[Guard]:
    """The guard of every stack that the test knows."""
    harness.stacks.default = None
    yield Guard(harness)
    for thread in threading.enumerate():
        if thread.name == "check":  # It goes on after its answer.
            thread.join(30)
