"""Stacks: deployed with the SAM CLI, read and deleted with the CloudFormation API."""

from __future__ import annotations

import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from local.aws import ROOT, LocalAws
from local.demo.expectations import StepFailed

_LINES = 25  # of the SAM CLI's output, shown if it fails
_TIMEOUT = 120.0  # seconds for a deletion; less than one is needed


class Stacks:
    """The stacks of the account and Region by name. A deleted stack is identified by its stack ID."""

    def __init__(self, aws: LocalAws) -> None:
        self._aws = aws
        self._cloudformation = aws.client("cloudformation")
        self._ids: dict[str, str] = {}

    def deploy(self, name: str, template: Path, **parameters: str) -> str:
        """Run `sam deploy` and return the stack's final status. Raises StepFailed if the stack is not changed."""
        if name in self._ids and self.status(name) == "DELETE_COMPLETE":
            del self._ids[name]  # The local AWS forgets a deleted stack when a new one takes its name.
        before = len(self.statuses(name))
        overrides = [f"{key}={value}" for key, value in parameters.items()]
        try:
            output = self._aws.sam(
                "deploy",
                *("--template-file", str(template), "--config-file", str(ROOT / "samconfig.toml")),
                *("--stack-name", name, *(["--parameter-overrides", *overrides] if overrides else [])),
            )
        except subprocess.CalledProcessError as failed:
            output = failed.output
        self._find(name)
        new = self.statuses(name)[before:]
        if not new or not new[-1].endswith("_COMPLETE"):
            raise StepFailed(f"`sam deploy` of {name} completes", "\n".join(output.splitlines()[-_LINES:]))
        return new[-1]

    def change_set(self, name: str, template: Path, **parameters: str) -> tuple[str, str]:
        """Create a change set, as the console does, and return its final status and the reason."""
        made = self._cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=f"change-{uuid.uuid4().hex}",
            TemplateBody=template.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        deadline = time.monotonic() + _TIMEOUT
        while True:
            found = self._cloudformation.describe_change_set(ChangeSetName=made["Id"])
            if found["Status"] in {"CREATE_COMPLETE", "FAILED"}:
                return str(found["Status"]), str(found.get("StatusReason", ""))
            if time.monotonic() > deadline:
                raise StepFailed(f"the change set is complete within {_TIMEOUT:.0f} s", found["Status"])
            time.sleep(0.1)

    def delete(self, name: str) -> str:
        """Delete the stack and return its final status. `sam delete` polls only every 30 seconds."""
        self._cloudformation.delete_stack(StackName=name)
        deadline = time.monotonic() + _TIMEOUT
        while (status := self.status(name)).endswith("_IN_PROGRESS"):
            if time.monotonic() > deadline:
                raise StepFailed(f"{name} is deleted within {_TIMEOUT:.0f} s", status)
            time.sleep(0.1)
        return status

    @property
    def names(self) -> list[str]:
        """The names of all stacks, deleted ones included, in the order of creation."""
        return list(self._ids)

    def status(self, name: str) -> str:
        """Return the status of the stack."""
        return str(self._described(name)["StackStatus"])

    def outputs(self, name: str) -> dict[str, str]:
        """Return the outputs of the stack."""
        return {output["OutputKey"]: output["OutputValue"] for output in self._described(name).get("Outputs", [])}

    def resources(self, name: str) -> list[tuple[str, str, str]]:
        """Return logical ID, type and Ref of each resource."""
        listed = self._cloudformation.describe_stack_resources(StackName=self._ids[name])["StackResources"]
        return [(one["LogicalResourceId"], one["ResourceType"], one["PhysicalResourceId"]) for one in listed]

    def ref(self, name: str, logical_id: str) -> str:
        """Return the Ref of a resource."""
        (found,) = [ref for logical, _, ref in self.resources(name) if logical == logical_id]
        return found

    def reason(self, name: str, logical_id: str, status: str) -> str:
        """Return the provider's Reason of the resource's last event with this status."""
        reasons = [
            event["ResourceStatusReason"]
            for event in self._events(name)
            if (event["LogicalResourceId"], event["ResourceStatus"]) == (logical_id, status)
        ]
        if not reasons:
            raise StepFailed(f"{logical_id} of {name} {status}", "no such event")
        text = str(reasons[-1])
        return text.partition("Message returned: ")[2].rpartition(" (RequestId: ")[0] or text

    def statuses(self, name: str) -> list[str]:
        """Return the stack's own statuses in order; none if the stack never existed."""
        return [
            event["ResourceStatus"]
            for event in self._events(name)
            if event["PhysicalResourceId"] == event["StackId"] == self._ids[name]
        ]

    def _events(self, name: str) -> list[dict[str, Any]]:
        if name not in self._ids:
            return []
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self._ids[name])
        return list(reversed([event for page in pages for event in page["StackEvents"]]))

    def _find(self, name: str) -> None:
        if name not in self._ids:
            listed = self._cloudformation.list_stacks()["StackSummaries"]
            found = [summary["StackId"] for summary in listed if summary["StackName"] == name]
            self._ids |= {name: found[0]} if found else {}

    def _described(self, name: str) -> dict[str, Any]:
        (stack,) = self._cloudformation.describe_stacks(StackName=self._ids[name])["Stacks"]
        return dict(stack)
