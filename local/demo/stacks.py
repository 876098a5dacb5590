"""Stacks, deployed with the SAM CLI and read back from CloudFormation."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from local.aws import ROOT, LocalAws
from local.demo.expectations import Unmet

_LINES = 25
"""Of the SAM CLI's output, shown where it failed."""
_PATIENCE = 120.0
"""Seconds for a deletion; it takes less than one."""


class Stacks:
    """What is deployed in this account and Region, by stack name; a deleted stack is remembered by its id."""

    def __init__(self, aws: LocalAws) -> None:
        self._aws = aws
        self._cloudformation = aws.client("cloudformation")
        self._ids: dict[str, str] = {}

    def deploy(self, name: str, template: Path, **parameters: str) -> str:
        """Run `sam deploy`; the status it ends in, a rollback's too. Raise Unmet if it did not touch the stack."""
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
        self._look_up(name)
        ended = self.statuses(name)[before:]
        if not ended or not ended[-1].endswith("_COMPLETE"):
            came = "\n".join(output.splitlines()[-_LINES:])
            raise Unmet(f"`sam deploy` of {name} carried out", came)
        return ended[-1]

    def delete(self, name: str) -> str:
        """Delete the stack; the status it ends in. `sam delete` would do, but looks only every 30 seconds."""
        self._cloudformation.delete_stack(StackName=name)
        patience = time.monotonic() + _PATIENCE
        while (status := self.status(name)).endswith("_IN_PROGRESS"):
            if time.monotonic() > patience:
                raise Unmet(f"{name} deleted within {_PATIENCE:.0f} s", status)
            time.sleep(0.1)
        return status

    @property
    def names(self) -> list[str]:
        """Every stack there was, in the order of their making."""
        return list(self._ids)

    def status(self, name: str) -> str:
        """The status that the stack is in."""
        return str(self._described(name)["StackStatus"])

    def outputs(self, name: str) -> dict[str, str]:
        """Its outputs."""
        return {output["OutputKey"]: output["OutputValue"] for output in self._described(name).get("Outputs", [])}

    def resources(self, name: str) -> list[tuple[str, str, str]]:
        """Logical id, type and Ref of each resource."""
        listed = self._cloudformation.describe_stack_resources(StackName=self._ids[name])["StackResources"]
        return [
            (resource["LogicalResourceId"], resource["ResourceType"], resource["PhysicalResourceId"])
            for resource in listed
        ]

    def ref(self, name: str, logical_id: str) -> str:
        """The Ref of one resource."""
        (found,) = [ref for logical, _, ref in self.resources(name) if logical == logical_id]
        return found

    def reason(self, name: str, logical_id: str, status: str) -> str:
        """Why the resource last came to this status, in the provider's words."""
        reasons = [
            event["ResourceStatusReason"]
            for event in self._events(name)
            if (event["LogicalResourceId"], event["ResourceStatus"]) == (logical_id, status)
        ]
        if not reasons:
            raise Unmet(f"{logical_id} of {name} {status}", "no such event")
        words = str(reasons[-1])
        return words.partition("Message returned: ")[2].rpartition(" (RequestId: ")[0] or words

    def statuses(self, name: str) -> list[str]:
        """The stack's own statuses, in order; none for a stack that there never was."""
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

    def _look_up(self, name: str) -> None:
        if name not in self._ids:
            listed = self._cloudformation.list_stacks()["StackSummaries"]
            found = [summary["StackId"] for summary in listed if summary["StackName"] == name]
            self._ids |= {name: found[0]} if found else {}

    def _described(self, name: str) -> dict[str, Any]:
        (stack,) = self._cloudformation.describe_stacks(StackName=self._ids[name])["Stacks"]
        return dict(stack)
