import uuid
from typing import Any

from local.telecom import TelecomServer
from tests.unit.telecom.calls import error_of, invalid, quota, request


def test_request_with_same_token_repeats_its_failure(server: TelecomServer, sms: Any) -> None:
    server.configure(phone_numbers=0)
    assert quota(request, sms=sms, ClientToken="t") == "PHONE_NUMBERS_PER_ACCOUNT"
    server.configure(phone_numbers=25)
    assert quota(request, sms=sms, ClientToken="t") == "PHONE_NUMBERS_PER_ACCOUNT"
    request(sms, ClientToken="t2")


def test_token_with_other_parameters_or_claim_token_without_uuid_is_rejected(
    sms: Any, connect: Any, instance: str
) -> None:
    request(sms, ClientToken="t")
    assert invalid(request, sms=sms, ClientToken="t", DeletionProtectionEnabled=True) == "INVALID_PARAMETER"
    claim = {"TargetArn": instance, "PhoneNumber": "+12065560000", "ClientToken": str(uuid.uuid4())}
    assert connect.claim_phone_number(**claim)["PhoneNumberId"] == connect.claim_phone_number(**claim)["PhoneNumberId"]
    error = error_of(connect.claim_phone_number, **claim | {"PhoneNumber": "+12065560001"})
    assert (error["Code"], error["Status"]) == ("IdempotencyException", 409)
    error = error_of(connect.claim_phone_number, **claim | {"ClientToken": "not a UUID"})
    assert error["Code"] == "InvalidParameterException"


def test_token_expires(server: TelecomServer, sms: Any) -> None:
    server.configure(token_seconds=60)
    first = request(sms, ClientToken="t")["PhoneNumberId"]
    server.clock.advance(60)
    second = request(sms, ClientToken="t")["PhoneNumberId"]
    server.configure(forget_tokens=True)
    assert len({first, second, request(sms, ClientToken="t")["PhoneNumberId"]}) == 3
