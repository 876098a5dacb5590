"""Experiments with Amazon Connect. A claim and a release count against a limit for 180 days."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from telephony import clock
from telephony.aws import clients, services
from telephony.aws.errors import code_of
from telephony.errors import HandlerError, HandlerErrorCode, NotFoundError, NumberUnavailableError
from telephony_cli.verification.experiment import Experiment, Finding, Run, experiment, refusal, require
from telephony_cli.verification.sms import indexed

_NO_ANSWER = {"AccessDeniedException", "ThrottlingException", "TooManyRequestsException", "ServiceException"}
"""Errors of Service Quotas that say nothing about the quota (its API reference)."""
_QUOTA = {"ServiceCode": "connect", "QuotaCode": "L-8F812903"}


@experiment(41, needs_target=True)
def quota(run: Run) -> Iterator[Finding]:
    """Reads the quota of phone numbers of an instance and of the account."""
    found = {}
    for name, context in {"instance": {"ContextId": run.target_arn}, "account": {}}.items():
        try:
            found[name] = f"{clients.service_quotas().get_service_quota(**_QUOTA, **context)['Quota']['Value']:g}"
        except ClientError as error:
            found[name] = code_of(error)
    text = ", ".join(f"{name}: {value}" for name, value in found.items())
    if _NO_ANSWER & {*found.values()}:
        yield Finding(41, None, f"{text}.")
        return
    # An instance without a value of its own has none.
    known = all(value.replace(".", "").isdecimal() or value == "NoSuchResourceException" for value in found.values())
    yield Finding(41, known, f"{text}.")


@experiment(23, 30, 33, claims=2, needs_target=True)
def claim(run: Run) -> Iterator[Finding]:
    """Claims a DID number of the US, claims it again, and releases it."""
    connect: Any = services.connect()
    search = {"TargetArn": run.target_arn, "PhoneNumberCountryCode": "US", "PhoneNumberType": "DID", "MaxResults": 1}
    available = connect.search_available_phone_numbers(**search)["AvailableNumbersList"]
    if not available:
        raise HandlerError(HandlerErrorCode.NOT_FOUND, "SearchAvailablePhoneNumbers returned no DID number of the US.")
    number, claimed_at = available[0]["PhoneNumber"], clock.now()
    arn = run.claim(number)
    status: dict[str, str] = {}

    def has_ended() -> bool:
        status.update(
            connect.describe_phone_number(PhoneNumberId=arn)["ClaimedPhoneNumberSummary"]["PhoneNumberStatus"]
        )
        return status["Status"] != "IN_PROGRESS"

    require(has_ended, 300, f"The claim of {number} did not end within five minutes.")
    if status["Status"] == "FAILED":
        run.forget(arn)  # It is not billed, and the service removes it.
        raise HandlerError(HandlerErrorCode.NOT_STABILIZED, f"The claim ended FAILED: {status.get('Message', '-')}")
    refused = refusal(lambda: run.claim(number))
    text = "The second claim was accepted." if refused is None else refused.cause
    # Another refusal says nothing about the numbers of other customers.
    yield Finding(30, isinstance(refused, NumberUnavailableError) or None, text)
    yield indexed("connect:phone-number", arn, claimed_at)
    run.release(arn)
    try:
        connect.describe_phone_number(PhoneNumberId=arn)
    except NotFoundError:
        yield Finding(23, True, "DescribePhoneNumber does not find it after the release.")
    else:
        yield Finding(23, False, "DescribePhoneNumber still shows it after the release.")


EXPERIMENTS: tuple[Experiment, ...] = (quota, claim)
