"""Lambda function of the release guard: a CloudFormation Hook that stops operations which release or replace a number.

CloudFormation waits 30 seconds. The state table decides first, which takes milliseconds. Then the services are read, in
case that a number is not lost after all. An operation that can't be checked is not stopped.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from telephony import resources
from telephony.cloudformation import changes, hook, stacks, templates
from telephony.cloudformation.changes import ADD, CONDITION, MODIFY, NESTED_STACK, ResourceChange, Stack
from telephony.cloudformation.hook import Invocation, NotAnInvocationError, Target
from telephony.errors import HandlerError, TelephonyError
from telephony.lifecycle.plan import Planned, plan
from telephony.observability import count, log_defect, logger
from telephony.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_STOPS_ON = ("replace", "release")
_ANSWER_SECONDS = 3
"""Reserved at the end of an invocation."""
_NOT_COMPARABLE = "A transform decides which resources the template declares. Deploy it with a change set."


class NotCheckedError(TelephonyError):
    """The effect of an operation can't be foreseen."""


def handler(event: Any, context: LambdaContext) -> dict[str, str]:
    """Check one operation. Returns the answer to CloudFormation."""
    logger.clear_state()
    token = hook.token_of(event)
    try:
        invocation = hook.parse(event)
    except NotAnInvocationError as error:
        return hook.answer(token, _not_checked(str(error)), failed=False)
    logger.append_keys(stack_id=invocation.stack_id, target=str(invocation.target), action=invocation.action)
    check = _Check(invocation)
    # A call to a service can last longer than CloudFormation waits. Then the thread goes on, and its result is ignored.
    thread = threading.Thread(target=check.run, name="check", daemon=True)
    thread.start()
    thread.join(max(0.0, context.get_remaining_time_in_millis() / 1000 - _ANSWER_SECONDS))
    message, failed = check.result()
    return hook.answer(token, message, failed=failed)


class _Check:
    """The check of one operation."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._lost: dict[str, Planned] = {}
        """The changes that stop the operation, as far as it is known now."""
        self._problem = "It took too long."
        """Why the check is not complete. Empty: it is."""
        self._limits: list[str] = []
        """What the check leaves out."""
        self._unread = ""
        """Why a nested stack can't be checked."""
        self._checked = 0
        self._answered = False

    def run(self) -> None:
        """Make the check. Raises nothing."""
        try:
            self._run()
            self._problem = ""
        except HandlerError as error:
            self._problem = error.cause
        except TelephonyError as error:
            self._problem = str(error)
        except Exception as error:  # noqa: BLE001 - a defect must not stop a deployment
            self._problem = self._defect(error)

    def _defect(self, error: Exception) -> str:
        """Log an unexpected exception. Returns the problem."""
        if not self._answered:
            log_defect(error, "The release guard failed.")
        return f"Unexpected {type(error).__name__}."

    def result(self) -> tuple[str, bool]:
        """Return the message, and whether the operation fails, as far as the check has come. The check ends."""
        self._answered = True
        lost, problem = [*self._lost.values()], self._problem
        shown = [f"{each.change.logical_id} {each.effect}" for each in lost]
        logger.info("Operation checked", extra={"checked": self._checked, "stopped": shown})
        if lost:
            count("GuardStopped")
            return _refusal(lost, problem), True
        if problem:
            return _not_checked(problem), False
        text = f"No phone number or sender ID is released or replaced. Changes of their resources: {self._checked}."
        return " ".join([text, *self._limits]), False

    def _run(self) -> None:
        found = list(self._own(self._changes()))
        self._checked = len(found)
        foreseen = []
        problem, unread = self._unread, False
        for change in found:
            try:
                foreseen += self._foresee(change)
            except TelephonyError as error:
                problem = str(error)
        # First those that the operation loses by its declarations.
        foreseen.sort(key=lambda planned: not planned.stops(_STOPS_ON))
        for planned in foreseen:
            if self._answered:
                return
            try:
                confirmed = self._plan(planned.change)
            except TelephonyError as error:  # What the state table shows decides.
                logger.warning("Number not read", extra={"cause": str(error)})
                unread = True
            else:
                self._keep(confirmed)
        if unread:
            self._limits.append("The services did not show every number, so that declarations decided.")
        if problem:
            raise NotCheckedError(problem)

    def _foresee(self, change: ResourceChange) -> list[Planned]:
        """Return what the state table shows of a change. Nothing, if the number is certain to stay."""
        if self._answered:
            return []
        planned = self._plan(change, live=False)
        self._keep(planned)
        allows = (change.after or {}).get("AllowReplacement", "false")
        # If the number differs from its declaration, a change of any property can replace it.
        replaceable = change.action in {MODIFY, CONDITION} and str(allows).lower() != "false"
        return [planned] if replaceable or planned.stops(_STOPS_ON) else []

    def _plan(self, change: ResourceChange, *, live: bool = True) -> Planned:
        """Plan a change. After a defect, the others are still checked."""
        try:
            return plan(change, live=live)
        except TelephonyError:
            raise
        except Exception as error:  # noqa: BLE001
            raise NotCheckedError(self._defect(error)) from None

    def _keep(self, planned: Planned) -> None:
        """Remember whether a change stops the operation."""
        key = f"{planned.change.stack_id}|{planned.change.logical_id}"
        if planned.stops(_STOPS_ON):
            self._lost[key] = planned
        else:
            self._lost.pop(key, None)

    def _changes(self) -> Iterable[ResourceChange]:
        invocation = self._invocation
        if invocation.target is Target.CHANGE_SET:
            return self._of_change_set()
        if invocation.action == "CREATE":
            return []
        if invocation.action == "DELETE":
            return changes.of_deletion(_read(invocation.stack_id))
        return self._of_update()

    def _of_update(self) -> Iterable[ResourceChange]:
        invocation = self._invocation
        existing = _existing(invocation.stack_id)
        if not existing:
            return []
        if invocation.change_set_id:
            try:
                described = changes.describe_change_set(invocation.stack_id, invocation.change_set_id)
            except HandlerError as error:  # A nested stack can have the change set of its root.
                logger.warning("Change set not read", extra={"cause": error.cause})
            else:
                types = resources.type_names()
                return changes.of_change_set(described, types, self._nested)
        return self._of_templates(existing)

    def _of_templates(self, existing: Mapping[str, tuple[str, str]]) -> list[ResourceChange]:
        """Return the changes of an update without a change set."""
        stack_id, payload = self._invocation.stack_id, self._payload()
        try:
            previous = templates.parse(payload.get("previousTemplate"))
        except ValueError:
            previous = None
        if previous is None:
            previous = templates.read(stack_id)
        stack = Stack(stack_id=stack_id, resources=existing, template=previous)
        try:
            template = templates.parse(payload.get("template"))
        except ValueError as error:
            raise NotCheckedError(str(error)) from None
        found = changes.of_templates(stack, template, resolved=False)
        if found is None:
            raise NotCheckedError(_NOT_COMPARABLE)
        self._limits.append("The values of parameters were not compared.")
        return found

    def _nested(self, change_set_id: str) -> dict[str, Any]:
        """Return the change set of a nested stack, without changes if it can't be read."""
        try:
            return changes.describe_change_set(None, change_set_id)
        except HandlerError as error:
            self._unread = error.cause
            return {"Changes": []}

    def _of_change_set(self) -> list[ResourceChange]:
        stack = _read(self._invocation.stack_id)
        if not stack.resources:
            return []
        payload = self._payload()
        try:
            template = templates.parse(payload.get("template"))
        except ValueError as error:
            if "changedResources" not in payload:
                raise NotCheckedError(str(error)) from None
            self._limits.append(f"{error} Only what the change set lists was checked.")
            return changes.of_payload(stack, payload["changedResources"] or [], {})
        listed = changes.of_payload(stack, payload.get("changedResources") or [], template)
        names = {change.logical_id for change in listed}
        # It is not documented that the payload lists custom resources.
        others = changes.of_templates(stack, template, resolved=True)
        if others is None:
            self._limits.append("The template has a transform, so that only what the change set lists was checked.")
        return [*listed, *(change for change in others or [] if change.logical_id not in names)]

    def _payload(self) -> Any:
        return hook.read_payload(self._invocation, allowed_hosts=settings().allowed_response_hosts)

    def _own(self, found: Iterable[ResourceChange]) -> Iterator[ResourceChange]:
        """Yield the changes that can lose a number, also those of nested stacks that are removed."""
        for change in found:
            if change.type_name == NESTED_STACK and change.action not in {ADD, MODIFY} and not change.retains:
                try:
                    nested = changes.of_deletion(_read(change.physical_id))
                except TelephonyError as error:
                    self._unread = str(error)
                else:
                    yield from self._own(nested)
            elif change.type_name in resources.type_names() and change.action != ADD:
                id_pattern = resources.by_type(change.type_name).properties.id_pattern
                if re.fullmatch(id_pattern, change.physical_id):  # Another ID names no number.
                    yield change


def _existing(stack_id: str) -> dict[str, tuple[str, str]]:
    """Return type and physical ID of the numbers and nested stacks of a stack, by logical ID."""
    types = {NESTED_STACK, *resources.type_names()}
    return {
        each["LogicalResourceId"]: (each["ResourceType"], each.get("PhysicalResourceId", ""))
        for each in stacks.existing_resources(stack_id)
        if each["ResourceType"] in types
    }


def _read(stack_id: str) -> Stack:
    """Return a stack as it is."""
    existing = _existing(stack_id)
    return Stack(stack_id=stack_id, resources=existing, template=templates.read(stack_id) if existing else {})


def _not_checked(problem: str) -> str:
    logger.error("Operation not checked", extra={"cause": problem})
    count("GuardNotChecked")
    return f"The release guard of cfn-telephony could not check this operation: {problem}"


def _refusal(lost: list[Planned], problem: str) -> str:
    number = "1 change" if len(lost) == 1 else f"{len(lost)} changes"
    lines = [
        f"The release guard of cfn-telephony found {number} that would lose a phone number or sender ID.",
        "Undo the change, or retain the number with DeletionPolicy. To let the operation pass, see docs/operations.md.",
    ]
    for each in lost:
        stack_name = each.change.stack_id.split("/")[1]
        lines.append(
            f"- {stack_name}/{each.change.logical_id} ({each.change.physical_id}): {each.effect}. {each.reason}"
        )
    if problem:
        lines.append(f"More changes may have this effect, because the check is not complete: {problem}")
    return "\n".join(lines)
