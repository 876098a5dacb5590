import time
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from local.telecom import TelecomServer
from tests.unit.telecom.calls import client, describe, reason, refused, request

SMS = "pinpoint-sms-voice-v2"


def test_a_throttle_comes_as_often_as_it_was_asked_for_after_so_many_calls(server: TelecomServer, sms: Any) -> None:
    server.fault(SMS, "DescribePools", "throttle", times=2, after=1)
    sms.describe_pools()
    for _ in range(2):
        assert reason(sms.describe_pools) == ("ThrottlingException", None)
    sms.describe_pools()
    assert server.calls() == {f"{SMS}.DescribePools": 4}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"code": "ConflictException", "reason": "LAST_PHONE_NUMBER", "message": "No."}, 400),
        ({"code": "InternalServerException", "message": "Oh."}, 500),
        ({"code": "NotInTheModel", "message": "Hm.", "status": 503}, 503),
    ],
)
def test_an_error_is_in_the_services_own_words(
    server: TelecomServer, sms: Any, fault: dict[str, Any], status: int
) -> None:
    server.fault(SMS, "RequestPhoneNumber", "error", **fault)
    error = refused(request, sms=sms)
    assert (error["Code"], error["Error"]["Message"], error["Status"]) == (fault["code"], fault["message"], status)
    assert error.get("Reason") == fault.get("reason")
    assert server.held()["phone_numbers"] == []


def test_connect_and_dynamodb_fail_in_theirs(server: TelecomServer, connect: Any, dynamodb: Any) -> None:
    server.fault("connect", "ListInstances", "throttle")
    server.fault("connect", "ListInstances", "error", code="InternalServiceException")
    server.fault("dynamodb", "ListTables", "throttle")
    assert refused(connect.list_instances)["Code"] == "ThrottlingException"
    assert refused(connect.list_instances)["Status"] == 500
    assert refused(dynamodb.list_tables)["Code"] == "ProvisionedThroughputExceededException"


def test_a_lost_answer_leaves_the_effect_and_the_token_finds_it(server: TelecomServer, sms: Any) -> None:
    server.fault(SMS, "RequestPhoneNumber", "lose_answer")
    with pytest.raises(ConnectionClosedError):
        request(sms, ClientToken="t")
    (held,) = server.held()["phone_numbers"]
    assert request(sms, ClientToken="t")["PhoneNumberId"] == held["id"]
    first, second = server.log()
    assert (first["token"], first["fault"], first["ok"]) == ("t", "lose_answer", True)
    assert (second["fault"], second["ok"]) == (None, True)


def test_a_reset_comes_before_the_effect(server: TelecomServer, sms: Any, dynamodb: Any) -> None:
    server.fault(SMS, "RequestPhoneNumber", "reset")
    server.fault("dynamodb", "ListTables", "reset")
    with pytest.raises(ConnectionClosedError):
        request(sms)
    with pytest.raises(ConnectionClosedError):
        dynamodb.list_tables()
    assert server.held()["phone_numbers"] == []
    assert server.calls() == {f"{SMS}.RequestPhoneNumber": 1, "dynamodb.ListTables": 1}
    assert server.log()[0]["ok"] is None


@pytest.mark.parametrize(("when", "held"), [("before", 0), ("after", 1)])
def test_a_hang_is_before_or_after_the_effect(server: TelecomServer, when: str, held: int) -> None:
    sms = client(server.url, SMS, read_timeout=0.2)
    server.fault(SMS, "RequestPhoneNumber", "hang", seconds=0.5, when=when)
    with pytest.raises(ReadTimeoutError):
        request(sms)
    assert len(server.held()["phone_numbers"]) == held
    number = request(sms)  # the others are not kept waiting
    assert describe(sms, number["PhoneNumberId"])
    time.sleep(0.4)
    assert len(server.held()["phone_numbers"]) == 2


def test_a_fault_that_makes_no_sense_is_refused(server: TelecomServer) -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        server.fault(SMS, "RequestPhoneNumber", "explode")
    with pytest.raises(ValueError, match="needs a code"):
        server.fault(SMS, "RequestPhoneNumber", "error")
    with pytest.raises(ValueError, match="before or after"):
        server.fault(SMS, "RequestPhoneNumber", "hang", when="never")


def test_the_rates_of_the_account_can_be_switched_on(server: TelecomServer, sms: Any, connect: Any) -> None:
    server.configure(rate=True)
    sms.describe_pools()
    assert refused(sms.describe_pools)["Code"] == "ThrottlingException"
    sms.describe_sender_ids()  # each operation has a rate of its own
    server.clock.advance(1)
    sms.describe_pools()
    for _ in range(5):
        connect.list_instances()
    error = refused(connect.list_instances)
    assert (error["Code"], error["Status"]) == ("ThrottlingException", 429)
    server.clock.advance(1)
    connect.list_instances()
    connect.list_instances()
    assert refused(connect.list_instances)["Code"] == "ThrottlingException"
