"""Reads CloudFormation stacks: the evidence for whether a number may be released.

Sources: CloudFormation API Reference, "DescribeStacks", "DescribeStackEvents" and "ListStackResources"; User Guide,
"Stack status codes". docs/unverified.md lists what these pages leave open.
"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any

from telephony import clock
from telephony.aws import services
from telephony.errors import HandlerError, HandlerErrorCode, NotFoundError
from telephony.settings import settings

_GONE = frozenset({"DELETE_COMPLETE", "DELETE_SKIPPED"})
"""Statuses of resources that a stack no longer has."""
_EVENTS_KEPT = 90 * 86_400
_EVENT_DELAY = 2
"""Seconds by which the clock of an event can be behind ours, or be rounded."""


class Knowledge(Enum):
    """What CloudFormation's events show about a physical ID."""

    NAMED = auto()
    """CloudFormation had the ID."""
    RETAINED = auto()
    """CloudFormation had the ID, and a DeletionPolicy or UpdateReplacePolicy retained it."""
    NEVER_NAMED = auto()
    NOT_READABLE = auto()
    """The events could not be read, or do not reach back far enough."""


class Activity(Enum):
    """What CloudFormation does with a stack. At rest, it does not wait for a response of a resource."""

    UPDATING = auto()
    """Also: creating or deleting it."""
    ROLLING_BACK = auto()
    ROLLBACK_FAILED = auto()
    """It waits for the operator to continue the rollback, which can bring an earlier number back."""
    AT_REST = auto()
    DELETED = auto()


def activity(stack_id: str) -> Activity:
    """Return whether an operation of the stack is in progress."""
    stack = _describe(stack_id)
    # Deleted stacks are described for 90 days.
    if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
        return Activity.DELETED
    status: str = stack["StackStatus"]
    if status == "UPDATE_ROLLBACK_FAILED":
        return Activity.ROLLBACK_FAILED
    # A stack in REVIEW_IN_PROGRESS has a change set and no operation.
    if not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
        return Activity.AT_REST
    return Activity.ROLLING_BACK if "ROLLBACK" in status else Activity.UPDATING


def is_trusted(stack_id: str) -> bool:
    """Return whether the stack belongs to another account that is allowed to use the provider."""
    return ":".join(stack_id.split(":")[4:5]) in settings().stack_accounts


def physical_resource_id(stack_id: str, logical_resource_id: str) -> str | None:
    """Return the physical ID that the stack references. None if the stack or the resource does not exist."""
    try:
        response = services.cloudformation().describe_stack_resource(
            StackName=stack_id, LogicalResourceId=logical_resource_id
        )
    except NotFoundError:
        return None
    return response["StackResourceDetail"].get("PhysicalResourceId")


def physical_resource_ids(stack_id: str) -> Mapping[str, str]:
    """Return the physical IDs that the stack references, by logical ID. Empty if the stack is deleted."""
    ids = {}
    try:
        for each in _resources(stack_id):
            # Only a deleted stack lists what it no longer has.
            if each["ResourceStatus"] in _GONE:
                return {}
            ids[each["LogicalResourceId"]] = each.get("PhysicalResourceId", "")
    except NotFoundError:
        return {}
    return ids


def existing_resources(stack_id: str) -> list[Any]:
    """Return the summaries of the resources that a stack has. Empty if it does not exist."""
    try:
        return [each for each in _resources(stack_id) if each["ResourceStatus"] not in _GONE]
    except NotFoundError:
        return []


def knowledge(stack_id: str, logical_resource_id: str, physical_id: str, *, since: float) -> Knowledge:
    """Return whether the events of a resource name a physical ID that did not exist before `since`.

    since: seconds since the epoch. The ID was never named only if the events show another ID of the resource or a
    failed creation, and reach back to this time or are the first ones: CloudFormation keeps them for 90 days.
    """
    decided, complete = False, clock.now() - since < _EVENTS_KEPT
    try:
        for event in _events(stack_id):
            before = event["Timestamp"].timestamp() < since - _EVENT_DELAY
            complete = complete or before
            if before and decided:
                break
            if event["LogicalResourceId"] != logical_resource_id:
                continue
            named, status = event.get("PhysicalResourceId"), event.get("ResourceStatus", "")
            if named == physical_id and not before:
                return Knowledge.RETAINED if status == "DELETE_SKIPPED" else Knowledge.NAMED
            if not named and status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
                return Knowledge.NOT_READABLE
            decided = decided or bool(named) or status == "CREATE_FAILED"
    except HandlerError:
        return Knowledge.NOT_READABLE
    return Knowledge.NEVER_NAMED if decided and complete else Knowledge.NOT_READABLE


def _describe(stack_id: str) -> Mapping[str, Any] | None:
    try:
        stacks = services.cloudformation().describe_stacks(StackName=_checked_id(stack_id))["Stacks"]
    except NotFoundError:
        return None
    return stacks[0] if stacks else None


def _checked_id(stack_id: str) -> str:
    """Return the ID of a stack. Raises HandlerError if CloudFormation would take it for the name of one."""
    if not stack_id.startswith("arn:"):
        raise HandlerError(HandlerErrorCode.INVALID_REQUEST, f"{stack_id} is not the ID of a stack.")
    return stack_id


def _resources(stack_id: str) -> Iterator[Any]:
    yield from services.paginate(
        services.cloudformation().list_stack_resources, "StackResourceSummaries", StackName=_checked_id(stack_id)
    )


def _events(stack_id: str) -> Iterator[Any]:
    """Yield the events of a stack, the newest first."""
    yield from services.paginate(services.cloudformation().describe_stack_events, "StackEvents", StackName=stack_id)
