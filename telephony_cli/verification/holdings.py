"""What runs hold in the account: how it is recognized, found and released.

Everything is named or tagged in the call that creates it, so that a later run finds it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from telephony import clock, resources
from telephony.aws import services
from telephony.data import data
from telephony.errors import HandlerError, HandlerErrorCode, NotFoundError, UnknownOutcomeError
from telephony.lifecycle.invocation import Backoff
from telephony.model.resource import ALLOW_ALL
from telephony_cli.account import Patience

TAG = "cfn-telephony-verify"
"""The key of the tag. Its value is the name of the run."""
PREFIX = "cfn-telephony-verify-"
"""Of the names of runs and their stacks."""
SENDER_ID_PREFIX = "VRFY"
"""A sender ID has at most eleven characters. Its tag decides."""
SENDER_ID_COUNTRY = "GB"
"""It needs no registration: terraform-provider-aws requests unregistered sender IDs of GB in its tests."""
CONNECT_NUMBER = "phone number of Amazon Connect"
IN_OPERATION = "_IN_PROGRESS"
REVIEW = "REVIEW_IN_PROGRESS"
_RELEASE_PERIOD = 180
"""Seconds. A number counts as a member of its pool for up to two minutes (terraform-provider-aws, phone_number.go)."""
_STACK_PERIOD = 900
_TAGS_PERIOD = 600
_DELETE_ATTEMPTS = 3


@data
class Held:
    """Something that a run has created."""

    noun: str
    physical_id: str
    name: str
    """The number, or what people call it."""
    release: Callable[[], None]

    def __str__(self) -> str:
        """Return the noun, the name and the ID."""
        return f"{self.noun} {self.name}" + (f" ({self.physical_id})" if self.physical_id != self.name else "")


@data
class Problem:
    """What could not be read or released."""

    noun: str
    text: str
    listed: bool = True
    """It was found, and not released."""


def number(described: Mapping[str, Any]) -> Held:
    """Return a phone number of the SMS service."""
    physical_id = described["PhoneNumberId"]
    release = resources.by_type("Custom::SmsPhoneNumber").release
    return Held("phone number", physical_id, described["PhoneNumber"], lambda: release(physical_id, ALLOW_ALL))


def sender_id(described: Mapping[str, Any]) -> Held:
    """Return a sender ID."""
    name = described["SenderId"].upper()
    physical_id = f"{described['IsoCountryCode']}|{name}"
    release = resources.by_type("Custom::SmsSenderId").release
    return Held("sender ID", physical_id, name, lambda: release(physical_id, ALLOW_ALL))


def pool(described: Mapping[str, Any]) -> Held:
    """Return a pool."""
    pool_id = described["PoolId"]
    return Held("pool", pool_id, pool_id, lambda: _delete_pool(pool_id))


def connect_number(arn: str, name: str) -> Held:
    """Return a phone number of Amazon Connect."""
    release = resources.by_type("Custom::ConnectPhoneNumber").release
    return Held(CONNECT_NUMBER, arn, name, lambda: release(arn, ALLOW_ALL))


def stack(stack_id: str) -> Held:
    """Return a stack."""
    return Held("stack", stack_id, stack_id.split("/")[1], lambda: _delete_stack(stack_id))


def release(held: Held) -> Problem | None:
    """Release something. Returns why that failed, or None."""
    try:
        Patience(_RELEASE_PERIOD).retry(held.release)
    except Exception as failure:  # noqa: BLE001 - the rest must be released too
        return Problem(held.noun, f"{held}: {explained(failure)}")
    return None


def release_all(done: Callable[[Held], None]) -> list[Problem]:
    """Find and release what any run holds. Returns what could not be read or released."""
    problems: list[Problem] = []
    for noun, find in _KINDS.items():
        try:
            found = [*find()]
        except Exception as failure:  # noqa: BLE001 - the rest must be released too
            text = f"every {noun} of a run, which can't be listed: {explained(failure)}"
            problems.append(Problem(noun, text, listed=False))
            continue
        for held in found:
            problem = release(held)
            if problem is None:
                done(held)
            else:
                problems.append(problem)
    return problems


def explained(failure: BaseException) -> str:
    """Return what failed."""
    if isinstance(failure, (HandlerError, UnknownOutcomeError)):
        return failure.cause
    return f"{type(failure).__name__}: {failure}"


def stack_status(stack_id: str) -> str:
    """Return the status of a stack. A stack that can't be found is deleted."""
    try:
        return services.cloudformation().describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
    except NotFoundError:
        return "DELETE_COMPLETE"


def simulators() -> Iterator[Mapping[str, Any]]:
    """Yield the SIMULATOR numbers of the account that are not released."""
    filters: Any = [{"Name": "number-type", "Values": ["SIMULATOR"]}]
    listed = services.paginate(
        services.sms_voice().describe_phone_numbers, "PhoneNumbers", Owner="SELF", Filters=filters, MaxResults=100
    )
    return (each for each in listed if each["Status"] not in {"DISASSOCIATING", "DELETED"})


def new_numbers_without_tags() -> list[str]:
    """Return the IDs of SIMULATOR numbers that can belong to a run that was killed: their tags can be late."""
    return [
        each["PhoneNumberId"]
        for each in simulators()
        if clock.now() - each["CreatedTimestamp"].timestamp() < _TAGS_PERIOD and not _tags(each["PhoneNumberArn"])
    ]


def _find_pools() -> Iterator[Held]:
    pools = services.paginate(services.sms_voice().describe_pools, "Pools", Owner="SELF", MaxResults=100)
    return (pool(each) for each in pools if _is_tagged(each["PoolArn"]))


def _find_numbers() -> Iterator[Held]:
    return (number(each) for each in simulators() if _is_tagged(each["PhoneNumberArn"]))


def _find_sender_ids() -> Iterator[Held]:
    for each in services.paginate(services.sms_voice().describe_sender_ids, "SenderIds", Owner="SELF", MaxResults=100):
        if each["SenderId"].upper().startswith(SENDER_ID_PREFIX) and _is_tagged(each["SenderIdArn"]):
            yield sender_id(each)


def _find_connect_numbers() -> Iterator[Held]:
    """The description is the name of the run, because the listing does not show tags."""
    for each in services.paginate(
        services.connect().list_phone_numbers_v2, "ListPhoneNumbersSummaryList", MaxResults=1000
    ):
        if each.get("PhoneNumberDescription", "").startswith(PREFIX):
            yield connect_number(each["PhoneNumberArn"], each["PhoneNumber"])


def _find_stacks() -> Iterator[Held]:
    """Yield them by name, so that a Hook is deleted before the stack whose deletion it stops."""
    listed = services.paginate(services.cloudformation().describe_stacks, "Stacks")
    for each in sorted(listed, key=lambda one: one["StackName"]):
        if each["StackName"].startswith(PREFIX) and each["StackStatus"] != "DELETE_COMPLETE":
            yield stack(each["StackId"])


# In the order in which they are released: a number in a pool can't be released.
_KINDS: Mapping[str, Callable[[], Iterator[Held]]] = {
    "pool": _find_pools,
    "phone number": _find_numbers,
    "sender ID": _find_sender_ids,
    CONNECT_NUMBER: _find_connect_numbers,
    "stack": _find_stacks,
}


def _is_tagged(arn: str) -> bool:
    return _tags(arn).get(TAG, "").startswith(PREFIX)


def _tags(arn: str) -> dict[str, str]:
    try:
        tags = services.sms_voice().list_tags_for_resource(ResourceArn=arn).get("Tags", [])
    except NotFoundError:
        return {}
    return {tag["Key"]: tag["Value"] for tag in tags}


def _delete_pool(pool_id: str) -> None:
    with suppress(NotFoundError):
        services.sms_voice().delete_pool(PoolId=pool_id)


def _delete_stack(stack_id: str) -> None:
    """Delete a stack when no operation runs, and wait until it is deleted."""
    failures, backoff, end = 0, Backoff(), clock.now() + _STACK_PERIOD
    while (status := stack_status(stack_id)) != "DELETE_COMPLETE":
        failures += status == "DELETE_FAILED"
        if failures > _DELETE_ATTEMPTS or clock.now() > end:
            break
        if status == REVIEW or not status.endswith(IN_OPERATION):
            services.cloudformation().delete_stack(StackName=stack_id)
        clock.sleep(next(backoff))
    else:
        return
    raise HandlerError(HandlerErrorCode.NOT_STABILIZED, f"Its status is {status}. Delete it in CloudFormation.")
