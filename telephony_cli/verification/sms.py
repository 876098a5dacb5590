"""Experiments with AWS End User Messaging SMS: SIMULATOR numbers, which are billed, and sender IDs, which are free."""

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from telephony import clock
from telephony.aws import services
from telephony.errors import HandlerError, NotFoundError
from telephony_cli.verification.experiment import (
    Experiment,
    Finding,
    Run,
    experiment,
    refusal,
    require,
    seconds_since,
    waited,
)
from telephony_cli.verification.holdings import SENDER_ID_COUNTRY, SENDER_ID_PREFIX, TAG

VISIBLE_WITHIN, TAGS_VISIBLE_WITHIN, INDEXED_WITHIN = 120, 300, 300
"""Seconds: rows 11, 10, and how long an experiment waits for the Resource Groups Tagging API."""
_REQUEST_AGAIN_WITHIN = 120
_LEAVING = 10
"""Seconds for which the status of a number that leaves a pool is read."""
_MANDATORY = {"HELP": "AUTOMATIC_RESPONSE", "STOP": "OPT_OUT"}


@experiment(27)
def shared(run: Run) -> Iterator[Finding]:
    """Lists numbers without Owner, and those that other accounts share."""
    del run
    listed = {
        owner: {
            number["PhoneNumberArn"]
            for number in services.paginate(
                services.sms_voice().describe_phone_numbers,
                "PhoneNumbers",
                MaxResults=100,
                **({"Owner": owner} if owner else {}),
            )
        }
        for owner in ("", "SHARED")
    }
    if not listed["SHARED"]:
        yield Finding(27, None, "No other account shares a phone number with this account.")
        return
    found = len(listed[""] & listed["SHARED"])
    yield Finding(27, not found, f"Without Owner, {found} of {len(listed['SHARED'])} shared numbers are listed.")


@experiment(28)
def refused_request(run: Run) -> Iterator[Finding]:
    """Requests a sender ID for the US, which is refused, and searches it."""
    name = _sender_id()
    refused = refusal(lambda: run.request_sender_id(name, "US"))
    if refused is None:
        yield Finding(28, None, f"A sender ID for the US, {name}, was not refused.")
        return
    existing = waited(lambda: _describe_sender_id(name, "US") is not None, _LEAVING)
    yield Finding(28, existing is None, f"{refused.cause} {name} {'does not exist' if existing is None else 'exists'}.")


@experiment(11, 12, 25, 26, 33)
def sender_id(run: Run) -> Iterator[Finding]:
    """Requests a sender ID twice, releases it, and requests it again."""
    name, requested_at = _sender_id(), clock.now()
    arn = run.request_sender_id(name)["SenderIdArn"]
    yield _visible(11, "DescribeSenderIds", lambda: _describe_sender_id(name) is not None, requested_at)
    refused = refusal(lambda: run.request_sender_id(name))
    text = f"The second request {'returned the sender ID' if refused is None else f'was refused: {refused.cause}'}."
    yield Finding(26, refused is None, text)
    yield indexed("sms-voice:sender-id", arn, requested_at)
    physical_id, released_at = f"{SENDER_ID_COUNTRY}|{name}", clock.now()
    run.release(physical_id)
    gone = _describe_sender_id(name) is None
    yield Finding(12, gone, f"DescribeSenderIds {'does not find' if gone else 'still shows'} it after the release.")
    answers: list[str] = []

    def request_again() -> bool:
        refused = refusal(lambda: run.request_sender_id(name))
        answers.extend([refused.aws_reason or refused.aws_code] if refused is not None else [])
        return refused is None or answers[-1] != "SENDER_ID_REQUIRES_REGISTRATION"

    waited(request_again, _REQUEST_AGAIN_WITHIN)
    again = physical_id in run.held
    text = f"{'Requested' if again else 'Not requested'} again {seconds_since(released_at)} after the release"
    refusals = f", refused {len(answers)} times ({', '.join(sorted({*answers}))})" if answers else ""
    yield Finding(25, again, f"{text}{refusals}.")


@experiment(10, 11, 33, numbers=1)
def visibility(run: Run) -> Iterator[Finding]:
    """Requests a number, and waits until it and its tags can be read."""
    number = run.number()

    def is_described() -> bool:
        try:
            services.sms_voice().describe_phone_numbers(PhoneNumberIds=[number.physical_id])
        except NotFoundError:
            return False
        listed = services.paginate(
            services.sms_voice().describe_phone_numbers, "PhoneNumbers", Owner="SELF", MaxResults=100
        )
        return any(each["PhoneNumberId"] == number.physical_id for each in listed)

    def has_tags() -> bool:
        try:
            tags = services.sms_voice().list_tags_for_resource(ResourceArn=number.arn).get("Tags", [])
        except NotFoundError:
            return False
        return {"Key": TAG, "Value": run.name} in tags

    yield _visible(11, "DescribePhoneNumbers", is_described, number.requested_at)
    shown = waited(has_tags, TAGS_VISIBLE_WITHIN) is not None
    when = "Shown" if shown else "Not shown"
    yield Finding(10, shown, f"{when} by ListTagsForResource {seconds_since(number.requested_at)} after the request.")
    yield indexed("sms-voice:phone-number", number.arn, number.requested_at)


@experiment(31, 42, numbers=1)
def settings(run: Run) -> Iterator[Finding]:
    """Changes the settings of a number that the provider changes, and the messages of HELP and STOP."""
    number = run.active_number()
    sms: Any = services.sms_voice()
    refused = refusal(
        lambda: sms.update_phone_number(PhoneNumberId=number.physical_id, TwoWayEnabled=False, OptOutListName="Default")
    )
    yield Finding(42, refused is None, "Both were accepted." if refused is None else refused.cause)
    identity = {"OriginationIdentity": number.physical_id}

    def read() -> dict[str, Any]:
        listed = services.paginate(sms.describe_keywords, "Keywords", **identity)
        return {each["Keyword"].upper(): each for each in listed}

    before = read()
    for name in _MANDATORY:
        refused = refusal(partial(sms.put_keyword, **identity, Keyword=name, KeywordMessage=f"{run.name} {name}"))
        if refused is not None:
            yield Finding(31, False, refused.cause)
            return
    after = read()
    actions = {name: after[name]["KeywordAction"] for name in _MANDATORY}
    changed = all(after[name]["KeywordMessage"] == f"{run.name} {name}" for name in _MANDATORY)
    text = ", ".join(f"{name} {action}" for name, action in actions.items())
    yield Finding(31, changed and actions == _MANDATORY, f"{'' if changed else 'A message did not change. '}{text}.")
    for name in _MANDATORY:  # The numbers of a pool must have the same keywords.
        sms.put_keyword(**identity, Keyword=name, KeywordMessage=before[name]["KeywordMessage"])


@experiment(9, numbers=2)
def client_token(run: Run) -> Iterator[Finding]:
    """Requests a number twice with the same ClientToken."""
    first = run.number()
    again = run.request_number("number-0")
    same = again.physical_id == first.physical_id
    which = "the same number" if same else f"another number, {again.physical_id},"
    yield Finding(9, same, f"The second request returned {which} {seconds_since(first.requested_at)} after the first.")


@experiment(17, 24, numbers=2)
def pool(run: Run) -> Iterator[Finding]:
    """Removes two numbers from a pool."""
    first, second = run.active_number(0), run.active_number(1)
    sms: Any = services.sms_voice()
    pool_id = run.create_pool(first)

    def is_active() -> bool:
        return bool(sms.describe_pools(PoolIds=[pool_id])["Pools"][0]["Status"] == "ACTIVE")

    require(is_active, 120, f"{pool_id} is not ACTIVE after two minutes.")
    member = {"PoolId": pool_id, "OriginationIdentity": second.physical_id, "IsoCountryCode": "US"}
    sms.associate_origination_identity(**member)
    sms.disassociate_origination_identity(**member)
    statuses: list[str] = []

    def reads_status() -> bool:
        found = sms.describe_phone_numbers(PhoneNumberIds=[second.physical_id])["PhoneNumbers"][0]
        statuses.append(found["Status"])
        return False

    waited(reads_status, _LEAVING)
    names = ", ".join(dict.fromkeys(statuses))
    yield Finding(17, "DISASSOCIATING" not in statuses, f"A number that left its pool was {names}.")
    last = member | {"OriginationIdentity": first.physical_id}
    refused = refusal(lambda: sms.disassociate_origination_identity(**last))
    held = refused is not None and refused.aws_reason == "LAST_PHONE_NUMBER"
    yield Finding(24, held, "The last number left the pool." if refused is None else refused.cause)
    run.release(pool_id)


def _sender_id() -> str:
    return f"{SENDER_ID_PREFIX}{secrets.token_hex(3).upper()}"


def _describe_sender_id(name: str, country: str = SENDER_ID_COUNTRY) -> Any | None:
    try:
        return services.sms_voice().describe_sender_ids(SenderIds=[{"SenderId": name, "IsoCountryCode": country}])
    except NotFoundError:
        return None


def _visible(row: int, operation: str, condition: Callable[[], bool], requested_at: float) -> Finding:
    shown = waited(condition, VISIBLE_WITHIN) is not None
    which = "Shown" if shown else "Not shown"
    return Finding(row, shown, f"{which} by {operation} {seconds_since(requested_at)} after the request.")


def indexed(resource_type: str, arn: str, requested_at: float) -> Finding:
    """Return whether the Resource Groups Tagging API lists a new resource under its type."""
    tagging = services.tagging()

    def is_listed() -> bool:
        filters: Any = {"ResourceTypeFilters": [resource_type], "TagFilters": [{"Key": TAG}]}
        listed = services.paginate(
            tagging.get_resources,
            "ResourceTagMappingList",
            token_name="PaginationToken",  # noqa: S106 - a parameter
            **filters,
        )
        return any(each["ResourceARN"] == arn for each in listed)

    try:
        shown = waited(is_listed, INDEXED_WITHIN) is not None
    except HandlerError as refused:
        if refused.aws_code == "AccessDeniedException":
            raise
        return Finding(33, False, f"{resource_type}: {refused.cause}")
    # The index can be late: row 34.
    which = "Listed" if shown else "Not listed"
    when = f"{seconds_since(requested_at)} after the request"
    return Finding(33, shown or None, f"{which} as {resource_type} {when}.")


EXPERIMENTS: tuple[Experiment, ...] = (
    shared,
    refused_request,
    sender_id,
    visibility,
    settings,
    client_token,
    pool,
)
