"""Simulation of one stack with one resource: what CloudFormation sends, stores and does next."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Mapping
from typing import Any

from tests.contract.cloudformation.events import RequestType, event
from tests.contract.cloudformation.requests import DEFAULT_SERVICE_TIMEOUT
from tests.contract.cloudformation.verdict import Verdict
from tests.faults.audit import Audit
from tests.faults.declarations import RECOVERY_WINDOW, Properties, ScenarioContext, Variant
from tests.faults.delivery import NO_RESPONSE, RequestDelivery, SentRequest
from tests.faults.environment import QUOTAS
from tests.faults.invocation import InjectedFault, InvocationResult

CLEANUP_ATTEMPTS = 3
_LOGICAL_ID = "Number"

SERVICE_BEHAVIORS: Mapping[str, dict[str, Any]] = {
    "default": {},
    "tokens-forgotten": {"forget_tokens": True},
    "tags-late": {"tags_lag_seconds": 20},
    "tokens-forgotten-tags-late": {"forget_tokens": True, "tags_lag_seconds": 20},
    "tags-very-late": {"tags_lag_seconds": 3 * 3600},
    "described-late": {"describe_lag_seconds": 30},
    "stacks-late": {"stacks_lag": 4},
    "settled-late": {"activation_seconds": 15, "claim_seconds": 15, "update_seconds": 15},
}
"""Options of the services. tags-late: tags are visible at Lambda's first retry; tags-very-late: only to the sweep.
stacks-late: CloudFormation shows the state of four seconds ago. settled-late: a number is ACTIVE, or a claim or change
complete, after 15 seconds, which is longer than an invocation waits."""
_CLEANUP: Mapping[str, str] = {
    "CREATE_IN_PROGRESS": "ROLLBACK_IN_PROGRESS",
    "UPDATE_IN_PROGRESS": "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
}
"""The status in which resources of an operation are deleted (CloudFormation User Guide, "Stack status codes")."""


class StackSimulation(RequestDelivery):
    """The stack and its requests. Times are seconds."""

    def __init__(
        self,
        audit: Audit,
        variant: Variant,
        context: ScenarioContext,
        *,
        fresh: bool = False,
        other_resources: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(audit, fresh=fresh)
        self.variant = variant
        self.context = context
        self.name = name or f"run-{context.sender_id}-{secrets.token_hex(3)}"
        self.stack_id = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{self.name}/{uuid.uuid4()}"
        self.other_resources = other_resources
        """The stack exists before its resource, and a Delete of the resource does not delete the stack."""
        self.status = ""
        self.resumed: InvocationResult | None = None
        self.physical_id: str | None = None
        """The physical ID that CloudFormation has stored; None if the resource does not exist."""
        self.replaced_id: str | None = None
        """The physical ID before a replacement, until its Delete is sent."""
        self.declared: Properties = {}
        """The properties that CloudFormation has stored for the resource."""
        self.retained: set[str] = set()
        """Numbers that a policy or an operator retained."""
        self.dropped: set[str] = set()
        """Numbers that CloudFormation gave up to delete; it names them in its events only."""
        self.gone: set[str] = set()
        """Numbers that were released although the stack has them: by an operator, or by a Delete without a response."""
        self._deleting: set[str] = set()
        """Physical IDs that a Delete of the current operation names."""
        self.former: StackSimulation | None = None
        """A deleted stack, whose number is pending release."""
        self.pending_id = ""
        """The physical ID of this number."""
        self._quota = False
        audit.stacks.append(self)
        if other_resources:
            self._move("CREATE_COMPLETE")

    @property
    def known(self) -> set[str]:
        """The numbers that the stack has or retained."""
        return self.retained | ({self.physical_id} if self.physical_id is not None else set())

    def another_stack(self) -> StackSimulation:
        """Return another stack with the same declaration, in the same account."""
        return StackSimulation(self.audit, self.variant, self.context, other_resources=True)

    def namesake(self) -> StackSimulation:
        """Return another stack with the same declaration and name, before or after this one."""
        return StackSimulation(self.audit, self.variant, self.context, name=self.name)

    def prepare_recovery(self, declared: Properties) -> None:
        """Let a former stack leave a number that is pending release, and is due in ten minutes."""
        self.former = self.namesake() if self.variant.pending == "own" else self.another_stack()
        self.former.create(declared)
        self.clock.advance(600)
        self.pending_id = self.former.physical_id or ""
        self.former.delete(self.pending_id, declared)
        self.former.rest()
        self.clock.advance(RECOVERY_WINDOW - 600)

    # -- operations of the stack ------------------------------------------------------------

    @property
    def in_operation(self) -> bool:
        return self.status.endswith("_IN_PROGRESS")

    def _move(self, status: str) -> None:
        self.status = status
        self.server.stacks("move", self.stack_id, status)

    def note(self, status: str, physical_id: str) -> None:
        """Add an event of the resource."""
        self.server.stacks("note", self.stack_id, _LOGICAL_ID, status, physical_id)

    def store(self, physical_id: str | None, declared: Properties | None = None) -> None:
        """Store the resource's physical ID and properties."""
        if physical_id != self.physical_id:
            self.gone.discard(physical_id or "")
        self.physical_id, self.declared = physical_id, {} if physical_id is None else declared or self.declared
        self._guard()

    def retain(self, physical_id: str) -> None:
        """Keep a number that leaves the stack."""
        self.note("DELETE_SKIPPED", physical_id)
        self.retained.add(physical_id)
        self.store(None if physical_id == self.physical_id else self.physical_id)

    def remove_retained(self) -> None:
        """Remove the resource from the template, or delete the stack, with DeletionPolicy Retain."""
        assert self.physical_id is not None
        self._begin_operation("Delete")
        self.retain(self.physical_id)
        self.rest()

    def release_by_hand(self) -> None:
        """An operator releases the resource's number in the console."""
        if self.physical_id is not None and self.physical_id not in self.gone:
            self.server.by_hand("release", self.physical_id)
            self.gone.add(self.physical_id)

    def _guard(self) -> None:
        # Only the sweep may release a number that CloudFormation gave up to delete: its requests are out of time.
        guarded = self.known | self.dropped | ({self.replaced_id} if self.replaced_id else set())
        self.guard(guarded - (self._deleting - self.retained))

    def guard(self, guarded: set[str]) -> None:
        """Let the environment process record a release of these numbers as a violation."""
        if self.status:
            self.server.stacks("store", self.stack_id, _LOGICAL_ID, self.physical_id, guarded)

    def begin_rollback(self) -> None:
        self._move("ROLLBACK_IN_PROGRESS" if self.status == "CREATE_IN_PROGRESS" else "UPDATE_ROLLBACK_IN_PROGRESS")

    def begin_cleanup(self) -> None:
        if self.status in _CLEANUP:
            self._move(_CLEANUP[self.status])

    def rest(self, *, failed: bool = False) -> None:
        """End the operation. CloudFormation waits for no response any more."""
        self.stop_waiting()
        if self.in_operation:
            result = "FAILED" if failed else "COMPLETE"
            self._move(self.status.replace("_COMPLETE_CLEANUP", "").replace("IN_PROGRESS", result))
        self._deleting.clear()
        self._guard()

    def limit_quotas(self) -> None:
        """Let the services refuse purchases, and Connect the move of a number, until `end_quota`."""
        self._quota = True
        self.server.configure(phone_numbers=0, sender_ids=0, connect_numbers=0, claim_release_limit=float("inf"))

    def end_quota(self) -> bool:
        """Raise the quotas again. Returns False if they are not exhausted."""
        ended, self._quota = self._quota, False
        if ended:
            self.server.configure(**QUOTAS)
        return ended

    def stop_waiting(self) -> None:
        """Cancel the request in progress: CloudFormation ignores its response."""
        canceled = set(self.server.stacks("stop_waiting", self.stack_id))
        for request in self.sent:
            request.canceled |= request.url in canceled

    def begin_deletion(self) -> None:
        self._move("DELETE_IN_PROGRESS")

    # -- requests ---------------------------------------------------------------------------

    def send(
        self, request_type: RequestType, properties: Properties, *, may_purchase: bool = False, **fields: Any
    ) -> SentRequest:
        """Issue a request, and begin an operation if the stack is in none. Lambda does not run the request yet."""
        self.stop_waiting()
        self._begin_operation(request_type)
        if physical_id := fields.get("physical_id"):
            if request_type == "Delete":
                self._deleting.add(physical_id)
                self.replaced_id = None if self.replaced_id == physical_id else self.replaced_id
            protection = "OnDelete" if request_type == "Delete" else "DeletionProtectionEnabled"
            if protection in properties or protection in fields.get("old_properties", {}):
                self.server.allow_unprotecting(physical_id)
        self._guard()
        request_id = str(uuid.uuid4())
        request = event(
            request_type,
            response_url="",
            stack_id=self.stack_id,
            request_id=request_id,
            logical_id=_LOGICAL_ID,
            resource_type=self.variant.type_name,
            properties=properties,
            **fields,
        )
        return self._issue(request, may_purchase=may_purchase)

    def sweep_request(self) -> SentRequest:
        """Return an invocation of the sweep, which is delivered as a request but once, and gets no response."""
        now = self.clock.now()
        return SentRequest("", {"RequestType": "Sweep", "ResponseURL": ""}, False, now, now, function="sweep")

    def resend(self, sent: SentRequest) -> SentRequest:
        """Issue a request again with the same RequestId and a newer URL.

        CloudFormation does so when it retries a failed operation (aws-cdk issues 35957 and 35988).
        """
        self.stop_waiting()
        if not self.in_operation:
            self._begin_operation(sent.event["RequestType"])
        return self._issue(sent.event, may_purchase=sent.may_purchase)

    def _begin_operation(self, request_type: RequestType) -> None:
        if not self.in_operation:
            if request_type == "Delete":
                self._move("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" if self.other_resources else "DELETE_IN_PROGRESS")
            else:
                self._move("UPDATE_IN_PROGRESS" if self.status else "CREATE_IN_PROGRESS")

    def _issue(self, request: dict[str, Any], *, may_purchase: bool) -> SentRequest:
        """Send a request with a new ResponseURL."""
        request_id, issued_at = request["RequestId"], round(self.clock.now(), 3)
        url = self.server.create_response_url(self.stack_id, _LOGICAL_ID, request_id, issued_at)
        request = request | {"ResponseURL": url}
        timeout = float(request["ResourceProperties"].get("ServiceTimeout", DEFAULT_SERVICE_TIMEOUT))
        self.sent.append(SentRequest(request_id, request, may_purchase, issued_at, issued_at + timeout))
        self.server.stacks("wait_for", request, issued_at + timeout)
        self.clock.advance(2)  # The signed URL has a resolution of one second.
        self.log.append(f"{self.name} {request['RequestType']} {request.get('PhysicalResourceId', '')} is sent")
        return self.sent[-1]

    def complete(self, request: SentRequest, fault: InjectedFault | None = None) -> Verdict:
        """Run the request until it has ended. Returns CloudFormation's verdict."""
        self.run_to_fault(request, fault)
        self.finish(request)
        self.wait_for_timeout(request)
        return self.verdict(request)

    def wait_for_timeout(self, request: SentRequest) -> None:
        """Wait until the ServiceTimeout of a request without a response has ended."""
        if not request.canceled and self.verdict(request).reason == NO_RESPONSE:
            self.clock.advance(max(0.0, request.deadline - self.clock.now()) + 1)

    def generated_id(self) -> str:
        """Return a physical ID as CloudFormation generates it for a Create without a response."""
        random = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        return f"{self.name}-{_LOGICAL_ID}-{random}"

    # -- what CloudFormation does next ------------------------------------------------------

    def create(self, properties: Properties) -> None:
        """Create the resource. Raises AssertionError if that fails."""
        verdict = self.complete(self.send("Create", properties, may_purchase=True))
        if not verdict.succeeded:
            raise AssertionError(f"the preparation failed: {verdict}\n" + "\n".join(self.log))
        self.store(verdict.physical_id, properties)
        self.rest()

    def delete(self, physical_id: str, properties: Properties, fault: InjectedFault | None = None) -> None:
        """Delete a number. If that fails, it is tried again, without protection if OnDelete does not disable it."""
        for injected in (fault, None):
            self.begin_cleanup()
            verdict = self.complete(self.send("Delete", properties, physical_id=physical_id), injected)
            if verdict.succeeded:
                self.after_delete(physical_id)
                return
            self.log.append(f"the Delete failed: {verdict.reason}")
            if self.status == "DELETE_IN_PROGRESS":
                self.rest(failed=True)
            if "OnDelete" not in properties:
                self.server.by_hand("protect", physical_id, enabled=False)
            self.clock.advance(300)
        self.findings.undeletable += 1

    def update(self, old: Properties, new: Properties, *, may_purchase: bool = False) -> SentRequest:
        return self.send("Update", new, physical_id=self.physical_id, old_properties=old, may_purchase=may_purchase)

    def roll_back(self, old: Properties, new: Properties, fault: InjectedFault | None = None) -> None:
        """Update the resource back from `new` to `old`."""
        self.begin_rollback()
        request = self.update(new, old)
        self.complete(request, fault)
        self.after_rollback(request, old, new)

    def after_create(self, request: SentRequest, properties: Properties) -> None:
        """Process the response to a Create: after a failure CloudFormation deletes the resource."""
        verdict = self.verdict(request)
        if verdict.succeeded:
            self.store(verdict.physical_id, properties)
        else:
            self._record_failure(verdict)
            self.begin_rollback()
            self.delete(verdict.physical_id or self.generated_id(), properties)

    def after_update(
        self, request: SentRequest, old: Properties, new: Properties, *, retain_replaced: bool = False
    ) -> None:
        """Process the response to an Update: clean up the replaced number, or roll back after a failure."""
        verdict = self.verdict(request)
        if verdict.succeeded:
            self._replace_id(verdict, old, new, retain=retain_replaced)
            return
        self._record_failure(verdict)
        self.roll_back(old, new)
        if verdict.physical_id not in {None, self.physical_id}:
            self.delete(str(verdict.physical_id), new)

    def after_rollback(self, request: SentRequest, old: Properties, new: Properties) -> None:
        """Process the response to a rollback: clean up the number that the Update purchased."""
        verdict = self.verdict(request)
        if verdict.succeeded:
            self._replace_id(verdict, new, old)
        else:
            self._record_failure(verdict)

    def after_delete(self, physical_id: str) -> None:
        if self.physical_id == physical_id:
            self.store(None)

    def replace(self, physical_id: str | None, declared: Properties) -> None:
        """Store the number that replaces the resource's number, which CloudFormation still has to delete."""
        if physical_id != self.physical_id:
            self.replaced_id = self.physical_id
        self.store(physical_id, declared)

    def _replace_id(self, verdict: Verdict, old: Properties, new: Properties, *, retain: bool = False) -> None:
        replaced = self.physical_id
        self.replace(verdict.physical_id, new)
        if replaced is None or replaced == self.physical_id:
            return
        self.begin_cleanup()
        if retain:
            self.replaced_id = None
            self.retain(replaced)
        else:
            self.delete(replaced, old)

    def _record_failure(self, verdict: Verdict) -> None:
        self.findings.failed += 1
        self.log.append(f"FAILED: {verdict.reason}")
