import uuid
from typing import Any

from local.telecom import TelecomServer
from tests.unit.telecom.calls import reason, refused, request


def test_the_same_token_buys_once(server: TelecomServer, sms: Any) -> None:
    first, again = request(sms, ClientToken="t"), request(sms, ClientToken="t")
    assert first["PhoneNumberId"] == again["PhoneNumberId"]
    assert len(server.held()["phone_numbers"]) == 1


def test_a_failure_is_pinned_to_its_token(server: TelecomServer, sms: Any) -> None:
    server.configure(phone_numbers=0)
    assert refused(request, sms=sms, ClientToken="t")["Reason"] == "PHONE_NUMBERS_PER_ACCOUNT"
    server.configure(phone_numbers=25)
    assert refused(request, sms=sms, ClientToken="t")["Reason"] == "PHONE_NUMBERS_PER_ACCOUNT"
    request(sms, ClientToken="t2")


def test_a_token_does_not_come_with_other_parameters(sms: Any, connect: Any, instance: str) -> None:
    request(sms, ClientToken="t")
    told = reason(request, sms=sms, ClientToken="t", DeletionProtectionEnabled=True)
    assert told == ("ValidationException", "INVALID_PARAMETER")
    token = str(uuid.uuid4())
    claim = {"TargetArn": instance, "PhoneNumber": "+12065560000", "ClientToken": token}
    assert connect.claim_phone_number(**claim)["PhoneNumberId"] == connect.claim_phone_number(**claim)["PhoneNumberId"]
    error = refused(connect.claim_phone_number, **claim | {"PhoneNumber": "+12065560001"})
    assert (error["Code"], error["Status"]) == ("IdempotencyException", 409)


def test_a_token_of_a_claim_is_a_uuid(connect: Any, instance: str) -> None:
    error = refused(connect.claim_phone_number, TargetArn=instance, PhoneNumber="+12065560000", ClientToken="t")
    assert error["Code"] == "InvalidParameterException"


def test_tokens_are_forgotten_at_once_or_after_their_time(server: TelecomServer, sms: Any) -> None:
    server.configure(token_seconds=60)
    first = request(sms, ClientToken="t")["PhoneNumberId"]
    server.clock.advance(60)
    second = request(sms, ClientToken="t")["PhoneNumberId"]
    server.configure(forget_tokens=True)
    assert len({first, second, request(sms, ClientToken="t")["PhoneNumberId"]}) == 3
