"""Stacks of custom resources: what CloudFormation asks of the provider, in which order, and with which ids.

Sources stand at each rule; "CFN UG" is the AWS CloudFormation User Guide.
"""

import secrets
import string
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from tests.contract.answers import AnswerSink
from tests.contract.cloudformation.events import ACCOUNT, REGION, SERVICE_TOKEN, stringified
from tests.contract.cloudformation.invoker import AsyncInvoker
from tests.contract.cloudformation.requests import Operation, Requests
from tests.contract.cloudformation.template import Declaration, ValidationError, parse, resolve

CLEANUP_ATTEMPTS = 3

FailedUpdateId = Literal["old", "new"]


class StackEvent(NamedTuple):
    """A line of DescribeStackEvents; `time` in epoch seconds, `logical_id` is the stack's name for the stack itself."""

    time: float
    logical_id: str
    status: str
    reason: str
    physical_id: str


class AttributeMissingError(Exception):
    """Fn::GetAtt names what the answer's Data did not hold (text: aws-cdk's kubectl provider quotes it)."""


@dataclass(frozen=True)
class Held:
    """A physical resource that a stack holds for a logical one, with the properties that it was last given."""

    logical_id: str
    physical_id: str
    declaration: Declaration
    properties: dict[str, Any]
    policy: str
    replaced: bool = False
    """True for the one that a replacement left behind: a rollback must not delete it."""


@dataclass
class Resource:
    """A logical resource as the stack knows it now."""

    declaration: Declaration
    properties: dict[str, Any]
    physical_id: str
    attributes: dict[str, str] = field(default_factory=dict)
    status: str = ""


class CloudFormation:
    """Makes stacks whose resources all belong to the provider behind `invoker`.

    `time_scale`: real seconds per second of ServiceTimeout. `rollback_delay`: real seconds between a failure and the
    rollback's first request (seconds on AWS: cloudformation-coverage-roadmap issue 1730 shows 2). `failed_update_id`:
    the id that a rollback Update names after an Update that FAILED with another id, see `Stack.deploy`.
    """

    def __init__(
        self,
        invoker: AsyncInvoker,
        sink: AnswerSink,
        *,
        service_token: str = SERVICE_TOKEN,
        time_scale: float = 1.0,
        rollback_delay: float = 0.0,
        failed_update_id: FailedUpdateId = "old",
    ) -> None:
        self.invoker = invoker
        self.sink = sink
        self.service_token = service_token
        self.time_scale = time_scale
        self.rollback_delay = rollback_delay
        self.failed_update_id: FailedUpdateId = failed_update_id
        self._stacks: dict[str, Stack] = {}

    def stack(self, name: str) -> "Stack":
        """The stack of this name; a new one, with a new StackId, if there is none or it was deleted."""
        if name not in self._stacks or self._stacks[name].status == "DELETE_COMPLETE":
            self._stacks[name] = Stack(self, name)
        return self._stacks[name]


class Stack:
    """One stack. Everything public may be read at any time."""

    def __init__(self, cloudformation: CloudFormation, name: str) -> None:
        self._cfn = cloudformation
        self.name = name
        self.stack_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/{uuid4()}"
        self.status = ""
        self.events: list[StackEvent] = []
        self._requests = Requests(cloudformation.invoker, cloudformation.sink, self.stack_id, cloudformation.time_scale)
        self.retained: list[tuple[str, str]] = []
        """(logical id, physical id) that a policy left in place."""
        self.dropped: list[tuple[str, str]] = []
        """(logical id, physical id) that the stack has let go of without a Delete that succeeded."""
        self._resources: dict[str, Resource] = {}
        self._leftovers: list[Held] = []
        self._declared: dict[str, Declaration] = {}
        self._lock = threading.Lock()

    @property
    def physical_ids(self) -> dict[str, str]:
        with self._lock:
            return {logical_id: resource.physical_id for logical_id, resource in self._resources.items()}

    @property
    def attributes(self) -> dict[str, dict[str, str]]:
        with self._lock:
            return {logical_id: dict(resource.attributes) for logical_id, resource in self._resources.items()}

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every event sent for the stack, in order."""
        return self._requests.sent

    def sent(self, logical_id: str) -> list[tuple[str, str]]:
        """(RequestType, PhysicalResourceId or "") of every request for a resource, in order."""
        return [
            (request["RequestType"], request.get("PhysicalResourceId", ""))
            for request in self.requests
            if request["LogicalResourceId"] == logical_id
        ]

    def statuses(self, logical_id: str | None = None) -> list[str]:
        """Every status of a resource, or of the stack itself, in order."""
        with self._lock:
            return [entry.status for entry in self.events if entry.logical_id == (logical_id or self.name)]

    def reasons(self, logical_id: str) -> list[str]:
        """The reason of every failure of a resource, in order."""
        with self._lock:
            return [e.reason for e in self.events if e.logical_id == logical_id and e.status.endswith("_FAILED")]

    # -- operations ---------------------------------------------------------------------------------------------------

    def deploy(self, template: Mapping[str, Any], *, disable_rollback: bool = False) -> str:
        """Create the stack, or update it, and return the status it ends in.

        Resources run in parallel as far as Ref, Fn::GetAtt and DependsOn allow. The first failure cancels what is under
        way ("Resource creation cancelled") and rolls back; a Delete may so reach a resource whose Create still runs
        (cloudformation-coverage-roadmap issues 1730 and 1814).

        Create that failed: Delete with the id of the FAILED answer (aws-cdk pull request 5525), or with one made up by
        CloudFormation where no valid answer came (issue 1814, remind101/empire issue 918).

        Update (CFN UG, "Custom resource request types", Update): sent only if the resolved properties differ; an answer
        with another id is a replacement, and the old id gets its Delete, with the old properties, after the whole
        update. A cleanup Delete is tried three times, then the resource is dropped and the update is complete (CFN UG,
        "Troubleshooting CloudFormation").

        Rollback of an update: everything that an Update was sent for gets another, properties swapped. It names
        - the new id after a replacement that had succeeded;
        - the same id after a FAILED with the same id, and after an answer that was lost, invalid or cancelled: nobody
          ever names what such an Update may have made;
        - after a FAILED with another id, the old one or, with `failed_update_id="new"`, that other one. Reports differ:
          aws-cdk issue 30012 shows a Delete for the other id, issue 13527 that it becomes the resource's id.
        In the rollback's cleanup each id that was named or told in this update, and is not the one that the rollback
        Update answered, gets a Delete; so do resources that the update had added. The id from before the update never
        does because of a rollback, unless a rollback Update that named it answered another (assumed).

        `disable_rollback` (CFN UG, "Choose how to handle failures when provisioning resources"): no failure affects
        another path, nothing is cancelled, what succeeded stays, a failed Update is rolled back for its resource alone.
        Such a stack can only be deleted here.

        Raises ValidationError, with nothing sent, for a template, a change or a state that CloudFormation refuses.
        """
        declared = parse(template)
        if not self.status:
            return self._create(declared, disable_rollback)
        if not self.status.endswith("_COMPLETE") or self.status in ("ROLLBACK_COMPLETE", "DELETE_COMPLETE"):
            raise ValidationError(f"Stack:{self.stack_id} is in {self.status} state and can not be updated.")
        if declared == self._declared:
            raise ValidationError("No updates are to be performed.")
        retyped = [
            name for name in declared.keys() & self._declared if declared[name].type != self._declared[name].type
        ]
        if retyped:
            raise ValidationError(f"Update of resource type is not permitted: {sorted(retyped)}")
        return self._update(declared, disable_rollback)

    def delete(self, *, retain: Collection[str] = ()) -> str:
        """Delete the stack, dependents first, and return the status it ends in.

        A Delete that fails leaves DELETE_FAILED, what the resource depends on untouched, and everything else deleted;
        calling again tries again, leaving alone what `retain` names (allowed then only: API Reference, DeleteStack).
        """
        if retain and self.status != "DELETE_FAILED":
            raise ValidationError("Invalid operation on stack: RetainResources needs DELETE_FAILED")
        self._move("DELETE_IN_PROGRESS")
        held = [
            self._held(logical_id, "Retain" if logical_id in retain else resource.declaration.deletion_policy)
            for logical_id, resource in self._resources.items()
        ]
        return self._move("DELETE_COMPLETE" if self._discard([*held, *self._take_leftovers()]) else "DELETE_FAILED")

    def _create(self, declared: dict[str, Declaration], disable_rollback: bool) -> str:
        self._declared = declared
        self._move("CREATE_IN_PROGRESS")
        if self._provision(declared, Operation(cancels=not disable_rollback)):
            return self._move("CREATE_COMPLETE")
        if disable_rollback:
            return self._move("CREATE_FAILED")
        self._move("ROLLBACK_IN_PROGRESS")
        time.sleep(self._cfn.rollback_delay)
        held = [self._held(name, _policy_in_rollback(self._resources[name].declaration)) for name in self._resources]
        return self._move("ROLLBACK_COMPLETE" if self._discard(held) else "ROLLBACK_FAILED")

    def _update(self, declared: dict[str, Declaration], disable_rollback: bool) -> str:
        before = self._declared
        self._move("UPDATE_IN_PROGRESS")
        if self._provision(declared, Operation(cancels=not disable_rollback)):
            self._declared = declared
            self._move("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            self._clean_up(
                self._held(name, self._resources[name].declaration.deletion_policy)
                for name in self._resources.keys() - declared.keys()
            )
            return self._move("UPDATE_COMPLETE")
        if disable_rollback:
            failed = {name for name, resource in self._resources.items() if resource.status == "UPDATE_FAILED"}
            self._provision({name: before[name] for name in failed}, Operation())
            return self._move("UPDATE_FAILED")
        return self._roll_back(before)

    def _roll_back(self, before: dict[str, Declaration]) -> str:
        self._move("UPDATE_ROLLBACK_IN_PROGRESS")
        time.sleep(self._cfn.rollback_delay)
        originals = [held for held in self._leftovers if held.replaced]
        self._leftovers = [held for held in self._leftovers if not held.replaced]
        if not self._provision(before, Operation()):
            self._leftovers.extend(originals)
            return self._move("UPDATE_ROLLBACK_FAILED")
        self._move("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        self.dropped.extend((held.logical_id, held.physical_id) for held in originals if not self._is_current(held))
        # UpdateReplacePolicy keeps what an update replaces, not what its rollback does.
        self._leftovers = [replace(held, policy="Delete") for held in self._leftovers]
        self._clean_up(
            self._held(name, _policy_in_rollback(self._resources[name].declaration))
            for name in self._resources.keys() - before.keys()
        )
        return self._move("UPDATE_ROLLBACK_COMPLETE")

    # -- towards a template -------------------------------------------------------------------------------------------

    def _provision(self, declared: dict[str, Declaration], operation: Operation) -> bool:
        """Create what is missing and update what differs. True if all of it succeeded."""

        def converge(logical_id: str) -> bool:
            succeeded = not operation.cancelled and self._converge(logical_id, declared[logical_id], operation)
            if not succeeded:
                operation.failed()
            return succeeded

        return _in_order({name: declaration.depends_on for name, declaration in declared.items()}, converge)

    def _converge(self, logical_id: str, declaration: Declaration, operation: Operation) -> bool:
        resource = self._resources.get(logical_id)
        try:
            properties = self._resolved(declaration)
        except AttributeMissingError as error:
            self._note(logical_id, "UPDATE_FAILED" if resource else "CREATE_FAILED", str(error))
            return False
        if resource is None:
            return self._create_resource(logical_id, declaration, properties, operation)
        if properties == resource.properties:
            resource.declaration = declaration
            return True
        if properties["ServiceToken"] != resource.properties["ServiceToken"]:
            # AWS::CloudFormation::CustomResource, ServiceToken: "Updates are not supported".
            self._note(logical_id, "UPDATE_FAILED", "Modifying service token is not allowed.")
            return False
        return self._update_resource(logical_id, declaration, properties, operation)

    def _create_resource(
        self, logical_id: str, declaration: Declaration, properties: dict[str, Any], operation: Operation
    ) -> bool:
        self._note(logical_id, "CREATE_IN_PROGRESS")
        verdict = self._requests.ask("Create", logical_id, declaration.type, properties, operation=operation)
        physical_id = verdict.physical_id or self._made_up(logical_id)
        resource = Resource(declaration, properties, physical_id, verdict.attributes)
        with self._lock:
            self._resources[logical_id] = resource
        self._note(logical_id, "CREATE_COMPLETE" if verdict.succeeded else "CREATE_FAILED", verdict.reason)
        return verdict.succeeded

    def _update_resource(
        self, logical_id: str, declaration: Declaration, properties: dict[str, Any], operation: Operation
    ) -> bool:
        resource = self._resources[logical_id]
        before = self._held(logical_id, declaration.update_replace_policy)
        self._note(logical_id, "UPDATE_IN_PROGRESS")
        verdict = self._requests.ask(
            "Update",
            logical_id,
            declaration.type,
            properties,
            operation=operation,
            physical_id=before.physical_id,
            old_properties=before.properties,
        )
        answered = verdict.physical_id or before.physical_id
        if answered != before.physical_id:
            if verdict.succeeded or self._cfn.failed_update_id == "new":
                self._leave(replace(before, replaced=True))
                resource.physical_id = answered
            else:
                self._leave(Held(logical_id, answered, declaration, properties, "Delete"))
        # As sent, whatever the answer: a rollback Update swaps the two.
        resource.declaration, resource.properties = declaration, properties
        if not verdict.succeeded:
            self._note(logical_id, "UPDATE_FAILED", verdict.reason)
            return False
        if answered != before.physical_id:
            reason = "Requested update required the provider to create a new physical resource"
            self._note(logical_id, "UPDATE_IN_PROGRESS", reason)
        resource.attributes = verdict.attributes
        self._note(logical_id, "UPDATE_COMPLETE")
        return True

    def _resolved(self, declaration: Declaration) -> dict[str, Any]:
        """The properties as an event carries them, ServiceToken included."""
        pseudo = {
            "AWS::StackName": self.name,
            "AWS::StackId": self.stack_id,
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "AWS::NoValue": None,
        }

        def ref(name: str) -> str | None:
            return pseudo[name] if name in pseudo else self._resources[name].physical_id

        def get_att(logical_id: str, attribute: str) -> str:
            try:
                return self._resources[logical_id].attributes[attribute]
            except KeyError:
                told = f"Vendor response doesn't contain {attribute} attribute in object {self.stack_id}|{logical_id}"
                raise AttributeMissingError(f"CustomResource attribute error: {told}") from None

        resolved = stringified(resolve(dict(declaration.properties), ref, get_att))
        properties: dict[str, Any] = {"ServiceToken": self._cfn.service_token, **resolved}
        return properties

    # -- giving back --------------------------------------------------------------------------------------------------

    def _clean_up(self, removed: Iterable[Held]) -> None:
        """After a successful update or rollback: what is left over goes, or is dropped after three attempts."""
        self._discard([*self._take_leftovers(), *removed], attempts=CLEANUP_ATTEMPTS, drop=True)

    def _discard(self, held: Collection[Held], *, attempts: int = 1, drop: bool = False) -> bool:
        """Delete, each after those that depend on it. True if all are gone, or dropped."""
        by_name: dict[str, list[Held]] = {}
        for item in held:
            by_name.setdefault(item.logical_id, []).append(item)
        dependents = {
            name: {other for other, items in by_name.items() if any(name in i.declaration.depends_on for i in items)}
            for name in by_name
        }

        def discard(name: str) -> bool:
            # All of them, though one fails.
            gone = [self._discard_one(item, attempts=attempts, drop=drop) for item in by_name[name]]
            return all(gone)

        return _in_order(dependents, discard)

    def _discard_one(self, held: Held, *, attempts: int, drop: bool) -> bool:
        gone = held.policy == "Retain" or any(self._delete_once(held) for _ in range(attempts))
        if held.policy == "Retain":
            self._note(held.logical_id, "DELETE_SKIPPED", physical_id=held.physical_id)
            self.retained.append((held.logical_id, held.physical_id))
        elif not gone and drop:
            self.dropped.append((held.logical_id, held.physical_id))
        elif not gone:
            if not self._is_current(held):
                self._leave(held)
            return False
        if self._is_current(held):
            with self._lock:
                del self._resources[held.logical_id]
        return True

    def _delete_once(self, held: Held) -> bool:
        self._note(held.logical_id, "DELETE_IN_PROGRESS", physical_id=held.physical_id)
        verdict = self._requests.ask(
            "Delete", held.logical_id, held.declaration.type, held.properties, physical_id=held.physical_id
        )
        status = "DELETE_COMPLETE" if verdict.succeeded else "DELETE_FAILED"
        self._note(held.logical_id, status, verdict.reason, physical_id=held.physical_id)
        return verdict.succeeded

    def _held(self, logical_id: str, policy: str) -> Held:
        """What the stack holds now for a logical resource; `policy` says what becomes of it."""
        resource = self._resources[logical_id]
        kept = "Delete" if policy == "Delete" else "Retain"
        return Held(logical_id, resource.physical_id, resource.declaration, resource.properties, kept)

    def _is_current(self, held: Held) -> bool:
        resource = self._resources.get(held.logical_id)
        return resource is not None and resource.physical_id == held.physical_id

    def _leave(self, held: Held) -> None:
        with self._lock:
            self._leftovers.append(held)

    def _take_leftovers(self) -> list[Held]:
        """What is left over and is not, after all, the resource itself; a rollback may have answered its id."""
        with self._lock:
            taken, self._leftovers = self._leftovers, []
        return [held for held in taken if not self._is_current(held)]

    # -- the record --------------------------------------------------------------------------

    def _made_up(self, logical_id: str) -> str:
        suffix = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        return f"{self.name}-{logical_id}-{suffix}"

    def _note(self, logical_id: str, status: str, reason: str = "", *, physical_id: str | None = None) -> None:
        with self._lock:
            resource = self._resources.get(logical_id)
            if resource is not None and physical_id in (None, resource.physical_id):
                resource.status = status
                physical_id = resource.physical_id
            self.events.append(StackEvent(time.time(), logical_id, status, reason, physical_id or ""))

    def _move(self, status: str) -> str:
        self.status = status
        with self._lock:
            self.events.append(StackEvent(time.time(), self.name, status, "", self.stack_id))
        return status


def _policy_in_rollback(declaration: Declaration) -> str:
    """CFN UG, "DeletionPolicy attribute": RetainExceptOnCreate does not keep what a rolled back operation created."""
    return "Retain" if declaration.deletion_policy == "Retain" else "Delete"


def _in_order(needs: Mapping[str, Collection[str]], work: Callable[[str], bool]) -> bool:
    """Run `work(name)` for every name, in parallel, each once all that it needs have succeeded. True if all did."""
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
