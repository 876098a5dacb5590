"""Stack operations: which requests CloudFormation sends to the provider, in which order, with which physical IDs.

Each rule names its source. "CFN UG" is the AWS CloudFormation User Guide.
"""

import json
import secrets
import string
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any, Literal
from uuid import uuid4

from tests.contract.cloudformation import change_sets
from tests.contract.cloudformation.api import KnownStack, StackEvent, StacksApi
from tests.contract.cloudformation.events import ACCOUNT, REGION, SERVICE_TOKEN, stringified
from tests.contract.cloudformation.invoker import AsyncInvoker
from tests.contract.cloudformation.requests import Operation, Requests
from tests.contract.cloudformation.template import Declaration, ValidationError, parse, resolve
from tests.contract.responses import ResponseSink

CLEANUP_ATTEMPTS = 3

FailedUpdateId = Literal["old", "new"]


@dataclass(frozen=True)
class Held:
    """A physical resource of a logical resource, with the properties of its last request."""

    logical_id: str
    physical_id: str
    declaration: Declaration
    properties: dict[str, Any]
    retained: bool
    replaced: bool = False
    """True for the original of a replacement, which a rollback must not delete."""


@dataclass
class Resource:
    """The current state of a logical resource."""

    declaration: Declaration
    properties: dict[str, Any]
    physical_id: str
    attributes: dict[str, str]


class CloudFormation:
    """Creates stacks whose resources all belong to the provider behind `invoker`.

    `time_scale`: real seconds per second of ServiceTimeout. `failed_update_id`: which ID a rollback Update names after
    an Update that returned FAILED with another ID, see `Stack.deploy`. `api` shows the stacks.
    """

    def __init__(
        self,
        invoker: AsyncInvoker,
        sink: ResponseSink,
        *,
        time_scale: float = 1.0,
        failed_update_id: FailedUpdateId = "old",
        api: StacksApi | None = None,
    ) -> None:
        self.invoker = invoker
        self.sink = sink
        self.time_scale = time_scale
        self.failed_update_id: FailedUpdateId = failed_update_id
        self.api = api
        self._stacks: dict[str, Stack] = {}

    def stack(self, name: str) -> "Stack":
        """Return the stack of this name, or a new one with a new StackId if it doesn't exist or is deleted."""
        if name not in self._stacks or self._stacks[name].status == "DELETE_COMPLETE":
            self._stacks[name] = Stack(self, name)
        return self._stacks[name]


class Stack:
    """One stack. Its threads share lists and dicts without a lock: CPython's single operations on them are atomic."""

    def __init__(self, cloudformation: CloudFormation, name: str) -> None:
        self._cfn = cloudformation
        self.name = name
        self.stack_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/{uuid4()}"
        self.known = KnownStack(self.stack_id, "")
        """What the API shows of the stack."""
        self._requests = Requests(cloudformation.invoker, cloudformation.sink, self.stack_id, cloudformation.time_scale)
        self.requests = self._requests.sent
        """Every event sent for the stack, in order."""
        self.retained: list[tuple[str, str]] = []
        """(logical ID, physical ID) of resources retained by a policy."""
        self.dropped: list[tuple[str, str]] = []
        """(logical ID, physical ID) of resources that left the stack without a successful Delete."""
        self._resources: dict[str, Resource] = {}
        self._leftovers: list[Held] = []
        self._declared: dict[str, Declaration] = {}

    @property
    def status(self) -> str:
        return self.known.status

    @property
    def events(self) -> list[StackEvent]:
        return self.known.events

    @property
    def physical_ids(self) -> dict[str, str]:
        return {logical_id: resource.physical_id for logical_id, resource in list(self._resources.items())}

    @property
    def attributes(self) -> dict[str, dict[str, str]]:
        return {logical_id: resource.attributes for logical_id, resource in list(self._resources.items())}

    def sent(self, logical_id: str) -> list[tuple[str, str]]:
        """(RequestType, PhysicalResourceId or "") of a resource's requests, in order."""
        requests = [request for request in list(self.requests) if request["LogicalResourceId"] == logical_id]
        return [(request["RequestType"], request.get("PhysicalResourceId", "")) for request in requests]

    def statuses(self, logical_id: str | None = None) -> list[str]:
        """The statuses of a resource, or of the stack itself, in order."""
        return [entry.status for entry in list(self.events) if entry.logical_id == (logical_id or self.name)]

    def reasons(self, logical_id: str) -> list[str]:
        """The reasons of a resource's failures, in order."""
        return [e.reason for e in list(self.events) if e.logical_id == logical_id and e.status.endswith("_FAILED")]

    # -- operations ---------------------------------------------------------------------------------------------------

    def deploy(self, template: Mapping[str, Any]) -> str:
        """Create or update the stack and return its final status.

        Resources run in parallel as far as Ref, Fn::GetAtt and DependsOn allow. The first failure cancels the requests
        in progress ("Resource creation cancelled") and starts the rollback. A Delete can therefore reach a resource
        whose Create still runs (cloudformation-coverage-roadmap issues 1730 and 1814).

        Failed Create: its Delete names the ID of the FAILED response (aws-cdk pull request 5525), or a generated ID if
        there is no valid response (issue 1814, remind101/empire issue 918).

        Update (CFN UG, "Custom resource request types", Update): sent only if the resolved properties differ. A
        response with another ID is a replacement: after the whole update, the old ID gets a Delete with the old
        properties. CloudFormation tries a cleanup Delete three times, then drops the resource and completes the update
        (CFN UG, "Troubleshooting CloudFormation").

        Rollback of an update: every resource that received an Update receives another with swapped properties. It names
        - the new ID after a successful replacement;
        - the same ID after FAILED with the same ID, and after a lost, invalid or cancelled response. No later request
          names what such an Update may have created;
        - after FAILED with another ID, the old ID or, with `failed_update_id="new"`, the other ID. Reports differ:
          aws-cdk issue 30012 shows a Delete for the other ID, issue 13527 shows that it becomes the resource's ID.
        The rollback's cleanup deletes resources that the update added, and each ID that this update used or returned,
        except the ID that the rollback Update returned. Assumed: it deletes the ID from before the update only if a
        rollback Update that named it returned another.

        Raises ValidationError if CloudFormation would reject the operation in this state.
        """
        status = self._deploy(parse(template))
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            self.known.template = json.dumps(template)
        return status

    def _deploy(self, declared: dict[str, Declaration]) -> str:
        if not self.status:
            return self._create(declared)
        if not self.status.endswith("_COMPLETE") or self.status in ("ROLLBACK_COMPLETE", "DELETE_COMPLETE"):
            raise ValidationError(f"Stack:{self.stack_id} is in {self.status} state and can not be updated.")
        if declared == self._declared:
            raise ValidationError("No updates are to be performed.")
        return self._update(declared)

    def change_set(self, name: str, template: Mapping[str, Any], *, unknown: Collection[str] = ()) -> str:
        """Add a change set of this template to the API, and return its name. The stack does not change.

        unknown: properties whose values are known after the deployment only, besides those of new resources.
        """
        declared = parse(template)
        if not self.status:
            self._move("REVIEW_IN_PROGRESS")
        if self._cfn.api:
            self._cfn.api.stacks[self.stack_id] = self.known
        changes = [
            change_sets.remove(*self._shown(held))
            for held in map(self._held, self._resources)
            if held.logical_id not in declared
        ]
        for logical_id, declaration in declared.items():
            after = self._resolved(declaration, known_after_apply=True)
            after |= dict.fromkeys(unknown, change_sets.KNOWN_AFTER_APPLY)
            resource = self._resources.get(logical_id)
            if resource is None:
                changes.append(change_sets.add(logical_id, declaration.type, after))
            elif after != resource.properties or declaration != resource.declaration:
                names = (logical_id, declaration.type, resource.physical_id)
                policy = declaration.update_replace_policy
                changes.append(change_sets.modify(*names, resource.properties, after, update_replace_policy=policy))
        status = {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"}
        self.known.change_sets[name] = {**status, "Changes": changes}
        return name

    def delete(self) -> str:
        """Delete the stack, dependents first, and return its final status.

        A failed Delete leaves DELETE_FAILED and keeps the resources that it depends on. Another call retries.
        """
        self._move("DELETE_IN_PROGRESS")
        held = [*map(self._held, self._resources), *self._take_leftovers()]
        return self._move("DELETE_COMPLETE" if self._discard(held) else "DELETE_FAILED")

    def _create(self, declared: dict[str, Declaration]) -> str:
        self._declared = declared
        self._move("CREATE_IN_PROGRESS")
        if self._cfn.api:
            self._cfn.api.stacks[self.stack_id] = self.known
        if self._provision(declared, cancels=True):
            return self._move("CREATE_COMPLETE")
        self._move("ROLLBACK_IN_PROGRESS")
        discarded = self._discard([*map(self._held, self._resources)])
        return self._move("ROLLBACK_COMPLETE" if discarded else "ROLLBACK_FAILED")

    def _update(self, declared: dict[str, Declaration]) -> str:
        before = self._declared
        self._move("UPDATE_IN_PROGRESS")
        if not self._provision(declared, cancels=True):
            return self._roll_back(before)
        self._declared = declared
        self._move("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        self._clean_up(declared)
        return self._move("UPDATE_COMPLETE")

    def _roll_back(self, before: dict[str, Declaration]) -> str:
        self._move("UPDATE_ROLLBACK_IN_PROGRESS")
        originals = [held for held in self._leftovers if held.replaced]
        self._leftovers = [held for held in self._leftovers if not held.replaced]
        if not self._provision(before):
            self._leftovers.extend(originals)
            return self._move("UPDATE_ROLLBACK_FAILED")
        self._move("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        self.dropped.extend((held.logical_id, held.physical_id) for held in originals if not self._is_current(held))
        # UpdateReplacePolicy applies to the update's replacements, not to the rollback's.
        self._leftovers = [replace(held, retained=False) for held in self._leftovers]
        self._clean_up(before)
        return self._move("UPDATE_ROLLBACK_COMPLETE")

    # -- provisioning -------------------------------------------------------------------------------------------------

    def _provision(self, declared: dict[str, Declaration], *, cancels: bool = False) -> bool:
        """Create missing resources and update changed ones. Return True if all succeed.

        `cancels`: the first failure cancels the requests in progress.
        """
        operation = Operation()

        def converge(logical_id: str) -> bool:
            succeeded = not operation.cancelled and self._converge(logical_id, declared[logical_id], operation)
            if cancels and not succeeded:
                operation.cancel()
            return succeeded

        return _in_order({name: declaration.depends_on for name, declaration in declared.items()}, converge)

    def _converge(self, logical_id: str, declaration: Declaration, operation: Operation) -> bool:
        resource = self._resources.get(logical_id)
        properties = self._resolved(declaration)
        if resource is None:
            return self._create_resource(logical_id, declaration, properties, operation)
        if properties == resource.properties:
            resource.declaration = declaration
            return True
        return self._update_resource(logical_id, declaration, properties, operation)

    def _create_resource(
        self, logical_id: str, declaration: Declaration, properties: dict[str, Any], operation: Operation
    ) -> bool:
        self._note(logical_id, declaration, "CREATE_IN_PROGRESS", "")
        verdict = self._requests.ask("Create", logical_id, declaration.type, properties, operation=operation)
        physical_id = verdict.physical_id or self._generated_id(logical_id)
        resource = Resource(declaration, properties, physical_id, verdict.attributes)
        self._resources[logical_id] = resource
        status = "CREATE_COMPLETE" if verdict.succeeded else "CREATE_FAILED"
        self._note(logical_id, declaration, status, physical_id, verdict.reason)
        return verdict.succeeded

    def _update_resource(
        self, logical_id: str, declaration: Declaration, properties: dict[str, Any], operation: Operation
    ) -> bool:
        resource = self._resources[logical_id]
        before = replace(self._held(logical_id), retained=declaration.update_replace_policy == "Retain")
        self._note(logical_id, declaration, "UPDATE_IN_PROGRESS", before.physical_id)
        verdict = self._requests.ask(
            "Update",
            logical_id,
            declaration.type,
            properties,
            operation=operation,
            physical_id=before.physical_id,
            old_properties=before.properties,
        )
        returned = verdict.physical_id or before.physical_id
        if returned != before.physical_id:
            if verdict.succeeded or self._cfn.failed_update_id == "new":
                self._leftovers.append(replace(before, replaced=True))
                resource.physical_id = returned
            else:
                self._leftovers.append(Held(logical_id, returned, declaration, properties, retained=False))
        # The properties as sent, even after a failure: a rollback Update swaps them.
        resource.declaration, resource.properties = declaration, properties
        if not verdict.succeeded:
            self._note(logical_id, declaration, "UPDATE_FAILED", resource.physical_id, verdict.reason)
            return False
        if returned != before.physical_id:
            reason = "Requested update required the provider to create a new physical resource"
            self._note(logical_id, declaration, "UPDATE_IN_PROGRESS", returned, reason)
        resource.attributes = verdict.attributes
        self._note(logical_id, declaration, "UPDATE_COMPLETE", returned)
        return True

    def _shown(self, held: Held) -> tuple[str, str, str, dict[str, Any], str]:
        policy = held.declaration.deletion_policy
        return held.logical_id, held.declaration.type, held.physical_id, held.properties, policy

    def _resolved(self, declaration: Declaration, *, known_after_apply: bool = False) -> dict[str, Any]:
        """Return the properties as an event contains them, including ServiceToken.

        known_after_apply: a resource that does not exist yet has unknown values.
        """

        def ref(name: str) -> str | None:
            if known_after_apply and name not in self._resources:
                return change_sets.KNOWN_AFTER_APPLY
            return None if name == "AWS::NoValue" else self._resources[name].physical_id

        def get_att(logical_id: str, attribute: str) -> str:
            if known_after_apply and logical_id not in self._resources:
                return change_sets.KNOWN_AFTER_APPLY
            return self._resources[logical_id].attributes[attribute]

        resolved = stringified(resolve(dict(declaration.properties), ref, get_att))
        properties: dict[str, Any] = {"ServiceToken": SERVICE_TOKEN, **resolved}
        return properties

    # -- deletion -----------------------------------------------------------------------------------------------------

    def _clean_up(self, declared: Collection[str]) -> None:
        """Delete leftovers and resources that aren't declared; drop each one after three attempts."""
        removed = [self._held(name) for name in self._resources if name not in declared]
        self._discard([*self._take_leftovers(), *removed], attempts=CLEANUP_ATTEMPTS, drop=True)

    def _discard(self, held: Collection[Held], *, attempts: int = 1, drop: bool = False) -> bool:
        """Delete each resource after its dependents. Return True if all are deleted or dropped."""
        by_name: dict[str, list[Held]] = {}
        for item in held:
            by_name.setdefault(item.logical_id, []).append(item)
        dependents = {
            name: {other for other, items in by_name.items() if any(name in i.declaration.depends_on for i in items)}
            for name in by_name
        }

        def discard(name: str) -> bool:
            # A list: one failure must not keep the others from being deleted.
            deleted = [self._discard_one(item, attempts=attempts, drop=drop) for item in by_name[name]]
            return all(deleted)

        return _in_order(dependents, discard)

    def _discard_one(self, held: Held, *, attempts: int, drop: bool) -> bool:
        if held.retained:
            self._note_delete(held, "DELETE_SKIPPED")
            self.retained.append((held.logical_id, held.physical_id))
        elif not any(self._delete_once(held) for _ in range(attempts)):
            if not drop:
                if not self._is_current(held):
                    self._leftovers.append(held)
                return False
            self.dropped.append((held.logical_id, held.physical_id))
        if self._is_current(held):
            del self._resources[held.logical_id]
            if self.status != "DELETE_IN_PROGRESS":  # a deleted stack shows its resources (DescribeStackResource)
                del self.known.resources[held.logical_id]
        return True

    def _delete_once(self, held: Held) -> bool:
        self._note_delete(held, "DELETE_IN_PROGRESS")
        verdict = self._requests.ask(
            "Delete", held.logical_id, held.declaration.type, held.properties, physical_id=held.physical_id
        )
        self._note_delete(held, "DELETE_COMPLETE" if verdict.succeeded else "DELETE_FAILED", verdict.reason)
        return verdict.succeeded

    def _held(self, logical_id: str) -> Held:
        """Return the current physical resource of a logical one, to be deleted according to its DeletionPolicy."""
        resource = self._resources[logical_id]
        retained = resource.declaration.deletion_policy == "Retain"
        return Held(logical_id, resource.physical_id, resource.declaration, resource.properties, retained)

    def _is_current(self, held: Held) -> bool:
        resource = self._resources.get(held.logical_id)
        return resource is not None and resource.physical_id == held.physical_id

    def _take_leftovers(self) -> list[Held]:
        """Return and clear the leftovers, except an ID that a rollback made current again."""
        taken, self._leftovers = self._leftovers, []
        return [held for held in taken if not self._is_current(held)]

    # -- events ------------------------------------------------------------------------------

    def _generated_id(self, logical_id: str) -> str:
        suffix = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        return f"{self.name}-{logical_id}-{suffix}"

    def _note(self, logical_id: str, declaration: Declaration, status: str, physical_id: str, reason: str = "") -> None:
        """Add an event of a resource's current physical ID.

        CREATE_IN_PROGRESS has none; a replacement has the new one from the second UPDATE_IN_PROGRESS on (recorded:
        localstack, tests/aws/services/cloudformation/engine/test_replacement.py). Assumed: UPDATE_FAILED has the ID
        that the resource then has.
        """
        self.known.resources[logical_id] = (physical_id, status)
        self.known.add(logical_id, status, physical_id, reason=reason, resource_type=declaration.type)

    def _note_delete(self, held: Held, status: str, reason: str = "") -> None:
        """Add an event of a deletion, with the ID concerned.

        Recorded: engine/test_replacement.py, and engine/test_deletion_policy.py for DELETE_SKIPPED.
        """
        if self._is_current(held):
            self.known.resources[held.logical_id] = (held.physical_id, status)
        self.known.add(held.logical_id, status, held.physical_id, reason=reason, resource_type=held.declaration.type)

    def _move(self, status: str) -> str:
        self.known.move(status)
        return status


def _in_order(needs: Mapping[str, Collection[str]], work: Callable[[str], bool]) -> bool:
    """Run `work(name)` for every name, in parallel, after all its needs succeed. Return True if all succeed."""
    if not needs:
        return True
    futures: dict[str, Future[bool]] = {}

    def when_ready(name: str) -> bool:
        return all(futures[needed].result() for needed in needs[name] if needed in futures) and work(name)

    with ThreadPoolExecutor(max_workers=len(needs), thread_name_prefix="cloudformation") as pool:
        for name in TopologicalSorter(needs).static_order():
            if name in needs:
                futures[name] = pool.submit(when_ready, name)
    return all(future.result() for future in futures.values())
