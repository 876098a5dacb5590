import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from local.telecom import TelecomServer
from tests.unit.telecom.calls import client, create_instance, describe, error_of, request

SMS = "pinpoint-sms-voice-v2"


def test_throttle_affects_configured_calls(server: TelecomServer, sms: Any) -> None:
    server.fault(SMS, "DescribePools", "throttle", times=2, after=1)
    sms.describe_pools()
    for _ in range(2):
        assert error_of(sms.describe_pools)["Code"] == "ThrottlingException"
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
def test_injected_error_has_wire_format(server: TelecomServer, sms: Any, fault: dict[str, Any], status: int) -> None:
    server.fault(SMS, "RequestPhoneNumber", "error", **fault)
    error = error_of(request, sms=sms)
    assert (error["Code"], error["Error"]["Message"], error["Status"]) == (fault["code"], fault["message"], status)
    assert error.get("Reason") == fault.get("reason")
    assert server.held()["phone_numbers"] == []


def test_faults_in_connect_and_dynamodb(server: TelecomServer, connect: Any, dynamodb: Any) -> None:
    server.fault("connect", "ListInstances", "throttle")
    server.fault("connect", "ListInstances", "error", code="InternalServiceException")
    server.fault("dynamodb", "ListTables", "throttle")
    assert error_of(connect.list_instances)["Code"] == "ThrottlingException"
    assert error_of(connect.list_instances)["Status"] == 500
    assert error_of(dynamodb.list_tables)["Code"] == "ProvisionedThroughputExceededException"


def test_lost_response_keeps_effect_for_retry_with_same_token(server: TelecomServer, sms: Any) -> None:
    server.fault(SMS, "RequestPhoneNumber", "lose_answer")
    with pytest.raises(ConnectionClosedError):
        request(sms, ClientToken="t")
    (held,) = server.held()["phone_numbers"]
    assert request(sms, ClientToken="t")["PhoneNumberId"] == held["id"]
    first, second = server.log()
    assert (first["token"], first["fault"], first["ok"]) == ("t", "lose_answer", True)
    assert (second["fault"], second["ok"]) == (None, True)


def test_reset_prevents_execution(server: TelecomServer, sms: Any, dynamodb: Any) -> None:
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
def test_hang_is_before_or_after_execution(server: TelecomServer, sms: Any, when: str, held: int) -> None:
    server.fault(SMS, "RequestPhoneNumber", "hang", seconds=1, when=when)
    with pytest.raises(ReadTimeoutError):
        request(client(server.url, SMS, read_timeout=0.2))
    assert len(server.held()["phone_numbers"]) == held
    number = request(sms)  # other calls are not delayed
    assert describe(sms, number["PhoneNumberId"])
    while len(server.held()["phone_numbers"]) < 2:
        time.sleep(0.05)


def test_hanging_call_is_not_executed_after_a_reset(server: TelecomServer, sms: Any) -> None:
    server.fault(SMS, "RequestPhoneNumber", "hang", seconds=30)
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(request, sms)
        while not server.log():
            time.sleep(0.01)
        server.reset()
        assert isinstance(hanging.exception(), ConnectionClosedError)
    assert server.held()["phone_numbers"] == []


def test_account_rates_can_be_enforced(server: TelecomServer, sms: Any, connect: Any) -> None:
    server.configure(rate=True)
    sms.describe_pools()
    assert error_of(sms.describe_pools)["Code"] == "ThrottlingException"
    sms.describe_sender_ids()  # each operation has its own rate
    server.clock.advance(1)
    sms.describe_pools()
    for calls in (5, 2):  # the burst, then the rate per second
        for _ in range(calls):
            connect.list_instances()
        error = error_of(connect.list_instances)
        assert (error["Code"], error["Status"]) == ("ThrottlingException", 429)
        server.clock.advance(1)


def test_slow_call_takes_effect_later_and_conflicts_until_then(server: TelecomServer, sms: Any) -> None:
    server.fault(SMS, "RequestPhoneNumber", "slow", seconds=60)
    with pytest.raises(ConnectionClosedError):
        request(sms, ClientToken="t")
    conflict = error_of(request, sms=sms, ClientToken="t")
    assert (conflict["Code"], conflict.get("Reason")) == ("ConflictException", None)
    assert server.held()["phone_numbers"] == []
    server.clock.advance(60)
    (held,) = server.held()["phone_numbers"]
    assert request(sms, ClientToken="t")["PhoneNumberId"] == held["id"]


def test_slow_claim_makes_its_number_unavailable(server: TelecomServer, connect: Any) -> None:
    instance = create_instance(connect)
    search = {"TargetArn": instance, "PhoneNumberCountryCode": "US", "PhoneNumberType": "DID"}
    number = connect.search_available_phone_numbers(**search)["AvailableNumbersList"][0]["PhoneNumber"]
    claim = {"TargetArn": instance, "PhoneNumber": number, "ClientToken": "00000000-0000-4000-8000-000000000000"}
    server.fault("connect", "ClaimPhoneNumber", "slow", seconds=60)
    with pytest.raises(ConnectionClosedError):
        connect.claim_phone_number(**claim)
    assert error_of(connect.claim_phone_number, **claim)["Code"] == "InvalidParameterException"
    server.clock.advance(60)
    (held,) = server.held()["connect_numbers"]
    assert connect.claim_phone_number(**claim)["PhoneNumberId"] == held["id"]


def test_new_numbers_are_described_after_lag(server: TelecomServer, sms: Any, connect: Any) -> None:
    server.configure(describe_lag_seconds=30)
    number = request(sms)["PhoneNumberId"]
    sms.request_sender_id(SenderId="MYCO", IsoCountryCode="GB")
    instance = create_instance(connect)
    search = {"TargetArn": instance, "PhoneNumberCountryCode": "US", "PhoneNumberType": "DID"}
    found = connect.search_available_phone_numbers(**search)["AvailableNumbersList"][0]["PhoneNumber"]
    claimed = connect.claim_phone_number(TargetArn=instance, PhoneNumber=found)["PhoneNumberId"]

    def counts() -> list[int]:
        return [
            len(sms.describe_phone_numbers()["PhoneNumbers"]),
            len(sms.describe_sender_ids()["SenderIds"]),
            len(connect.list_phone_numbers_v2()["ListPhoneNumbersSummaryList"]),
        ]

    assert counts() == [0, 0, 0]
    sender = {"SenderId": "MYCO", "IsoCountryCode": "GB"}
    for error in (
        error_of(sms.describe_phone_numbers, PhoneNumberIds=[number]),
        error_of(sms.describe_sender_ids, SenderIds=[sender]),
        error_of(connect.describe_phone_number, PhoneNumberId=claimed),
    ):
        assert error["Code"] == "ResourceNotFoundException"
    server.clock.advance(30)
    assert counts() == [1, 1, 1]
    assert describe(sms, number)
    assert connect.describe_phone_number(PhoneNumberId=claimed)


def test_error_after_execution_keeps_effect(server: TelecomServer, sms: Any) -> None:
    server.fault(SMS, "RequestPhoneNumber", "error", code="ConflictException", when="after")
    assert error_of(request, sms=sms)["Code"] == "ConflictException"
    assert len(server.held()["phone_numbers"]) == 1
    assert server.log()[0]["ok"] is False


def test_every_error_has_a_request_id(server: TelecomServer, sms: Any, connect: Any) -> None:
    def request_id(call: Callable[..., Any], **parameters: Any) -> str:
        with pytest.raises(ClientError) as caught:
            call(**parameters)
        return str(caught.value.response["ResponseMetadata"].get("RequestId", ""))

    server.fault(SMS, "DescribePools", "throttle")
    server.fault("connect", "ListInstances", "error", code="InternalServiceException", status=500)
    found = [request_id(sms.describe_pools), request_id(connect.list_instances)]
    found += [
        request_id(sms.describe_pools, PoolIds=["nowhere"]),
        request_id(client(server.url, "ssm").describe_parameters),
    ]
    assert all(found)
    assert len(set(found)) == len(found)
